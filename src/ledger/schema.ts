/** The tables of a CopyIndex, one step per version. A released step is never changed: add one at the end. */
export const STEPS: readonly string[] = [
  // `n` counts registrations, so that "newest first" and a page's cursor are one number. `source` and `target` are null
  // while only the copy's own report has arrived; such a row is not listed.
  `CREATE TABLE copies (
     n INTEGER PRIMARY KEY,
     id TEXT NOT NULL UNIQUE,
     state TEXT NOT NULL,
     source TEXT,
     target TEXT,
     accepted_at_ms INTEGER NOT NULL,
     done_at_ms INTEGER
   );
   CREATE INDEX copies_by_state ON copies (state, n);
   CREATE TABLE idempotency_keys (
     key TEXT PRIMARY KEY,
     fingerprint TEXT NOT NULL,
     id TEXT NOT NULL,
     at_ms INTEGER NOT NULL
   ) WITHOUT ROWID;
   CREATE INDEX idempotency_keys_by_age ON idempotency_keys (at_ms);`,
  `CREATE TABLE hosts (
     host TEXT PRIMARY KEY,
     first_used_at_ms INTEGER NOT NULL,
     last_used_at_ms INTEGER NOT NULL
   ) WITHOUT ROWID;
   CREATE INDEX hosts_by_use ON hosts (last_used_at_ms);`,
];

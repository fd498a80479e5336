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
  // Whose a copy is, and what it counts against (null where no limit binds). What was there before is the operator's.
  `ALTER TABLE copies ADD COLUMN owner TEXT NOT NULL DEFAULT 'root';
   ALTER TABLE copies ADD COLUMN budget TEXT;
   CREATE INDEX copies_by_budget ON copies (budget, accepted_at_ms) WHERE budget IS NOT NULL;
   CREATE INDEX copies_open ON copies (budget, accepted_at_ms) WHERE budget IS NOT NULL AND done_at_ms IS NULL;
   CREATE TABLE owned_idempotency_keys (
     owner TEXT NOT NULL,
     key TEXT NOT NULL,
     fingerprint TEXT NOT NULL,
     id TEXT NOT NULL,
     at_ms INTEGER NOT NULL,
     PRIMARY KEY (owner, key)
   ) WITHOUT ROWID;
   INSERT INTO owned_idempotency_keys SELECT 'root', key, fingerprint, id, at_ms FROM idempotency_keys;
   DROP TABLE idempotency_keys;
   ALTER TABLE owned_idempotency_keys RENAME TO idempotency_keys;
   CREATE INDEX idempotency_keys_by_age ON idempotency_keys (at_ms);
   CREATE TABLE keys (
     n INTEGER PRIMARY KEY,
     id TEXT NOT NULL UNIQUE,
     hash TEXT NOT NULL UNIQUE,
     name TEXT NOT NULL,
     maker TEXT NOT NULL,
     scopes TEXT NOT NULL,
     limits TEXT NOT NULL,
     budget TEXT NOT NULL,
     created_at_ms INTEGER NOT NULL,
     expires_at_ms INTEGER,
     revoked_at_ms INTEGER,
     last_used_at_ms INTEGER
   );
   CREATE INDEX keys_by_maker ON keys (maker, n);`,
];

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
   CREATE INDEX copies_by_owner ON copies (owner, n);
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
  // `hook` is the rule at whose address pushes for this one arrive; `principal` who made it, where the index keeps no key of
  // theirs. A run is a copy that has, waits for, or had its turn at a target; those without a rule were asked for by
  // somebody and are only waited for. `wide`: it writes names of a whole repository. `request` is there until its start is
  // confirmed.
  `CREATE TABLE rules (
     name TEXT PRIMARY KEY,
     version INTEGER NOT NULL,
     owner TEXT NOT NULL,
     principal TEXT,
     body TEXT NOT NULL,
     plan TEXT NOT NULL,
     enabled INTEGER NOT NULL,
     hook TEXT,
     hook_settings TEXT,
     path_hash TEXT,
     slot_at_ms INTEGER,
     start_at_ms INTEGER,
     created_at_ms INTEGER NOT NULL,
     changed_at_ms INTEGER NOT NULL
   ) WITHOUT ROWID;
   CREATE INDEX rules_by_start ON rules (start_at_ms) WHERE start_at_ms IS NOT NULL;
   CREATE INDEX rules_by_hook ON rules (hook) WHERE hook IS NOT NULL;
   CREATE TABLE runs (
     n INTEGER PRIMARY KEY,
     copy TEXT UNIQUE,
     rule TEXT,
     version INTEGER,
     cause TEXT,
     source TEXT NOT NULL,
     target TEXT NOT NULL,
     repository TEXT NOT NULL,
     wide INTEGER NOT NULL,
     hint TEXT,
     priority INTEGER NOT NULL,
     state TEXT NOT NULL,
     request TEXT,
     events INTEGER NOT NULL,
     tries INTEGER NOT NULL,
     due_at_ms INTEGER NOT NULL,
     at_ms INTEGER NOT NULL,
     started_at_ms INTEGER,
     ended_at_ms INTEGER,
     digest TEXT,
     result TEXT
   );
   CREATE INDEX runs_by_rule ON runs (rule, n);
   CREATE INDEX runs_by_target ON runs (target, n);
   CREATE INDEX runs_waiting ON runs (priority, n) WHERE state = 'waiting';
   CREATE INDEX runs_running ON runs (n) WHERE state = 'running';
   CREATE INDEX runs_open ON runs (repository, wide, n) WHERE ended_at_ms IS NULL;
   CREATE INDEX runs_open_target ON runs (target, n) WHERE ended_at_ms IS NULL;
   CREATE INDEX runs_of_others ON runs (ended_at_ms) WHERE rule IS NULL;
   CREATE TABLE deliveries (
     key TEXT NOT NULL,
     rule TEXT NOT NULL,
     copy TEXT NOT NULL,
     at_ms INTEGER NOT NULL,
     PRIMARY KEY (key, rule)
   ) WITHOUT ROWID;
   CREATE INDEX deliveries_by_age ON deliveries (at_ms);`,
  // `asked`: who has asked for a copy, and by what; `record`: the copy as it ended; both JSON. `totals`: all that have ended,
  // summed up.
  `ALTER TABLE copies ADD COLUMN asked TEXT;
   ALTER TABLE copies ADD COLUMN record TEXT;
   CREATE TABLE totals (one INTEGER PRIMARY KEY CHECK (one = 1), totals TEXT NOT NULL);`,
  `CREATE TABLE probes (id TEXT PRIMARY KEY, sent_at_ms INTEGER NOT NULL, came_at_ms INTEGER) WITHOUT ROWID;`,
  "CREATE INDEX runs_open_of_rule ON runs (rule, state) WHERE ended_at_ms IS NULL;",
  // Copies of one source to several targets.
  `ALTER TABLE copies ADD COLUMN group_id TEXT;
   CREATE INDEX copies_by_group ON copies (group_id, n) WHERE group_id IS NOT NULL;`,
];

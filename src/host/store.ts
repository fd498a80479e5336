/** The rows of a RegistryHost. docs/storage.md lists every table. */
import type { BlobOffer } from "./contract.ts";
import { HANDOVER_LIFE_MS, type KeptHandover } from "./handovers.ts";
import type { LimitsState } from "./limits.ts";
import { oldestMinute, type Minute } from "./outcomes.ts";
import type { KeptOwner } from "./owners.ts";
import type { Lesson } from "./upload-manners.ts";
import type { KeptOffer } from "./transfers.ts";
import type { Tries } from "./tries.ts";
import { migrate } from "../storage/migrations.ts";

/** Candidates for a mount: more would help little, since a mount that fails costs nothing but its answer. */
const KNOWN_MAX = 100_000;
const KNOWN_PER_DIGEST = 3;
/** Offers written in one statement: well under the 2 MB that a bound value may have. */
const OFFERS_PER_WRITE = 1_000;

const STEPS = [
  `CREATE TABLE offers (id TEXT PRIMARY KEY, job TEXT NOT NULL, offer TEXT NOT NULL, attempts INTEGER NOT NULL);
   CREATE TABLE leases (id TEXT PRIMARY KEY, lease TEXT NOT NULL);
   CREATE TABLE known (digest TEXT NOT NULL, repository TEXT NOT NULL, at_ms INTEGER NOT NULL,
                       PRIMARY KEY (digest, repository)) WITHOUT ROWID;
   CREATE INDEX known_by_age ON known (at_ms);
   CREATE TABLE learned (key TEXT PRIMARY KEY, value TEXT NOT NULL);`,
  // A quota without the time at which it was seen says nothing.
  `CREATE TABLE minutes (minute INTEGER PRIMARY KEY, counts TEXT NOT NULL);
   UPDATE learned SET value = json_set(value, '$.quota', json('null')) WHERE key = 'limits';`,
  `CREATE TABLE handovers (offer TEXT PRIMARY KEY, kept TEXT NOT NULL) WITHOUT ROWID;`,
  `ALTER TABLE offers ADD COLUMN cuts INTEGER NOT NULL DEFAULT 0;`,
  // In place of a row for each lease. Lanes are not named there: nobody comes back under that one name.
  `CREATE TABLE owners (name TEXT PRIMARY KEY, slots INTEGER NOT NULL) WITHOUT ROWID;
   INSERT INTO owners (name, slots)
   SELECT CASE lease ->> '$.use.type' WHEN 'loan' THEN 'host/' || (lease ->> '$.use.borrower')
                                      WHEN 'small' THEN 'job/' || (lease ->> '$.use.job') ELSE 'lane/' END, count(*)
   FROM leases GROUP BY 1;
   DROP TABLE leases;`,
];

export class HostStore {
  #sql: SqlStorage;
  /**
   * Not written yet, since losing it costs no more than a request: a candidate for a mount is only a hint, and a blob that
   * ended without its row having gone is found at the registry after a restart.
   */
  #later = { known: new Map<string, Map<string, number>>(), ended: new Set<string>() };

  constructor(storage: DurableObjectStorage) {
    migrate(storage, STEPS);
    this.#sql = storage.sql;
  }

  /** Whether {@link writeLater} has anything to write. */
  get hasLater(): boolean {
    return this.#later.known.size > 0 || this.#later.ended.size > 0;
  }

  /** Writes down what was kept for later. */
  writeLater(): void {
    const { known, ended } = this.#later;
    if (known.size > 0) {
      const rows = [...known].flatMap(([digest, places]) => [...places].map((place) => [digest, ...place]));
      known.clear();
      this.#sql.exec(
        `INSERT OR REPLACE INTO known (digest, repository, at_ms)
         SELECT value->>0, value->>1, value->>2 FROM json_each(?)`,
        JSON.stringify(rows),
      );
    }
    const ids = [...ended];
    ended.clear();
    this.deleteOffers(ids);
  }

  /** Deletes offers, at the latest with the next {@link writeLater}. */
  deleteOffersLater(ids: string[]): void {
    for (const id of ids) {
      this.#later.ended.add(id);
    }
  }

  putOffers(job: string, offers: BlobOffer[]): void {
    // One that ended may be offered anew: its old row must not be taken for the new one, nor the new one be deleted.
    this.writeLater();
    for (let from = 0; from < offers.length; from += OFFERS_PER_WRITE) {
      this.#sql.exec(
        `INSERT OR IGNORE INTO offers (id, job, offer, attempts)
         SELECT json_extract(value, '$.id'), ?, value, 0 FROM json_each(?)`,
        job,
        JSON.stringify(offers.slice(from, from + OFFERS_PER_WRITE)),
      );
    }
  }

  putTries(id: string, { attempts, cuts }: Pick<Tries, "attempts" | "cuts">): void {
    this.#sql.exec("UPDATE offers SET attempts = ?, cuts = ? WHERE id = ?", attempts, cuts, id);
  }

  deleteOffers(ids: string[]): void {
    for (let from = 0; from < ids.length; from += OFFERS_PER_WRITE) {
      const some = JSON.stringify(ids.slice(from, from + OFFERS_PER_WRITE));
      this.#sql.exec("DELETE FROM offers WHERE id IN (SELECT value FROM json_each(?))", some);
      this.#sql.exec("DELETE FROM handovers WHERE offer IN (SELECT value FROM json_each(?))", some);
    }
  }

  offers(): KeptOffer[] {
    return this.#sql
      .exec<{ job: string; offer: string; attempts: number; cuts: number; kept: string | null }>(
        `SELECT job, offers.offer, attempts, cuts, kept
         FROM offers LEFT JOIN handovers ON handovers.offer = offers.id ORDER BY offers.rowid`,
      )
      .toArray()
      .map(({ job, offer, attempts, cuts, kept }) => ({
        job,
        offer: readOffer(offer),
        attempts,
        cuts,
        ...(kept === null ? {} : { kept: readKept(kept) }),
      }));
  }

  putHandover(offerId: string, kept: KeptHandover | null): void {
    if (kept === null) {
      this.#sql.exec("DELETE FROM handovers WHERE offer = ?", offerId);
    } else {
      this.#sql.exec("INSERT OR REPLACE INTO handovers (offer, kept) VALUES (?, ?)", offerId, JSON.stringify(kept));
    }
  }

  /** Deletes what no lane will be given any more: locations of uploads are not kept for longer than they are of use. */
  trimHandovers(now: number): void {
    this.#sql.exec(
      "DELETE FROM handovers WHERE kept ->> '$.atMs' < ? OR offer NOT IN (SELECT id FROM offers)",
      now - HANDOVER_LIFE_MS,
    );
  }

  putOwner({ name, slots }: KeptOwner): void {
    this.#sql.exec("INSERT OR REPLACE INTO owners (name, slots) VALUES (?, ?)", name, slots);
  }

  deleteOwners(names: string[]): void {
    const some = JSON.stringify(names);
    this.#sql.exec("DELETE FROM owners WHERE name IN (SELECT value FROM json_each(?))", some);
  }

  owners(): KeptOwner[] {
    return this.#sql.exec<KeptOwner & Record<string, SqlStorageValue>>("SELECT name, slots FROM owners").toArray();
  }

  putKnown(repository: string, digest: string, now: number): void {
    const places = this.#later.known.get(digest) ?? new Map<string, number>();
    // Set anew, the newest comes last.
    places.delete(repository);
    this.#later.known.set(digest, places.set(repository, now));
  }

  known(digest: string): string[] {
    const newest = [...(this.#later.known.get(digest)?.keys() ?? [])].reverse();
    const written = this.#sql
      .exec<{ repository: string }>(
        "SELECT repository FROM known WHERE digest = ? ORDER BY at_ms DESC LIMIT ?",
        digest,
        KNOWN_PER_DIGEST,
      )
      .toArray()
      .map((row) => row.repository);
    return [...new Set([...newest, ...written])].slice(0, KNOWN_PER_DIGEST);
  }

  /** Blobs of which a repository is known; each counts once, however many have it. */
  knownCount(): number {
    this.writeLater();
    return this.#sql.exec<{ count: number }>("SELECT count(DISTINCT digest) AS count FROM known").one().count;
  }

  trimKnown(): void {
    this.#sql.exec(
      "DELETE FROM known WHERE at_ms < (SELECT at_ms FROM known ORDER BY at_ms DESC LIMIT 1 OFFSET ?)",
      KNOWN_MAX,
    );
  }

  putLimits(state: LimitsState): void {
    this.#sql.exec("INSERT OR REPLACE INTO learned (key, value) VALUES ('limits', ?)", JSON.stringify(state));
  }

  /** Forgets the limits, the shape of uploads and the candidates for a mount. */
  forgetLearned(): void {
    this.#sql.exec("DELETE FROM learned");
    this.#later.known.clear();
    this.#sql.exec("DELETE FROM known");
  }

  /** Counts of the last hour, and the newest whatever its age: it carries the sum of all before it. */
  minutes(now: number): Minute[] {
    return this.#sql
      .exec<{ counts: string }>(
        "SELECT counts FROM minutes WHERE minute >= ? OR minute = (SELECT max(minute) FROM minutes)",
        oldestMinute(now),
      )
      .toArray()
      .map((row) => readMinute(row.counts));
  }

  putMinutes(minutes: Minute[], now: number): void {
    for (const minute of minutes) {
      const { minute: at } = minute;
      this.#sql.exec("INSERT OR REPLACE INTO minutes (minute, counts) VALUES (?, ?)", at, JSON.stringify(minute));
    }
    this.#sql.exec(
      "DELETE FROM minutes WHERE minute < ? AND minute < (SELECT max(minute) FROM minutes)",
      oldestMinute(now),
    );
  }

  limits(): LimitsState | undefined {
    const [row] = this.#sql.exec<{ value: string }>("SELECT value FROM learned WHERE key = 'limits'").toArray();
    return row === undefined ? undefined : readLimits(row.value);
  }

  putUploadLesson(lesson: Lesson): void {
    this.#sql.exec("INSERT OR REPLACE INTO learned (key, value) VALUES ('upload', ?)", JSON.stringify(lesson));
  }

  uploadLesson(): Lesson | undefined {
    const [row] = this.#sql.exec<{ value: string }>("SELECT value FROM learned WHERE key = 'upload'").toArray();
    return row === undefined ? undefined : readLesson(row.value);
  }
}

// Rows are written by this class alone and their shapes are versioned by its migrations, so they are taken at their word.

function readOffer(json: string): BlobOffer {
  const offer: BlobOffer = JSON.parse(json);
  return offer;
}

function readKept(json: string): KeptHandover {
  const kept: KeptHandover = JSON.parse(json);
  return kept;
}

function readMinute(json: string): Minute {
  const minute: Minute = JSON.parse(json);
  return minute;
}

function readLimits(json: string): LimitsState {
  const state: LimitsState = JSON.parse(json);
  return state;
}

function readLesson(json: string): Lesson {
  const lesson: Lesson = JSON.parse(json);
  return lesson;
}

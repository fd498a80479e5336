/**
 * The API keys of a CopyIndex: made, found by their hash, listed, revoked. One transaction each; who may ask is decided
 * before.
 */
import * as z from "zod";
import { ACTIONS, type Principal } from "../access/contract.ts";
import type { KeyEntry, NewKey } from "./contract.ts";

/** Last use is for finding keys that nobody needs any more: to the hour, so that a busy key costs one write an hour. */
const USE_GRAIN_MS = 60 * 60 * 1000;
/** A key that is no longer good stays on the list for so long, for whoever wonders what became of it. */
const GONE_KEY_LIFE_MS = 30 * 24 * 60 * 60 * 1000;
/** Keys that others than root have made: bounds what a leaked key can fill. The operator is not bound by it. */
const MAX_KEYS_OF_OTHERS = 1_000;

/** Good until revoked or expired: the one meaning of "there is such a key", in one statement for every case. */
const GOOD = "revoked_at_ms IS NULL AND (expires_at_ms IS NULL OR expires_at_ms > ?2)";

/** The rows were written by this service; the schema only gives the text its type back. */
const StoredScopes = z.object({
  sources: z.array(z.string()),
  targets: z.array(z.string()),
  actions: z.array(z.enum(ACTIONS)),
});
const StoredLimits = z.object({
  copiesAtOnce: z.exactOptional(z.number()),
  copiesPerHour: z.exactOptional(z.number()),
});

type Row = Record<"id" | "name" | "maker" | "scopes" | "limits" | "budget", string> &
  Record<"expires_at_ms" | "revoked_at_ms" | "last_used_at_ms", number | null> & { n: number; created_at_ms: number };

export class Keys {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  /** The maker is looked at in the same transaction: a key that is being revoked leaves none behind. */
  make(key: NewKey, now: number): KeyEntry | "maker-gone" | "too-many" {
    this.#clear(now);
    if (key.maker.startsWith("key_") && this.#good("id", key.maker, now) === null) {
      return "maker-gone";
    }
    const { others } = this.#sql
      .exec<{ others: number }>("SELECT count(*) AS others FROM keys WHERE maker <> 'root'")
      .one();
    if (key.maker !== "root" && others >= MAX_KEYS_OF_OTHERS) {
      return "too-many";
    }
    this.#sql.exec(
      `INSERT INTO keys (id, hash, name, maker, scopes, limits, budget, created_at_ms, expires_at_ms)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      key.id,
      key.hash,
      key.name,
      key.maker,
      JSON.stringify(key.scopes),
      JSON.stringify(key.limits),
      key.budget,
      now,
      key.expiresAtMs,
    );
    return {
      id: key.id,
      name: key.name,
      maker: key.maker,
      scopes: key.scopes,
      limits: key.limits,
      createdAtMs: now,
      expiresAtMs: key.expiresAtMs,
      revokedAtMs: null,
      lastUsedAtMs: null,
    };
  }

  /** Who has a key, by one look into an index, whether there is such a key, was one, or never was. */
  principal(by: "hash" | "id", value: string, now: number): Principal | null {
    const row = this.#good(by, value, now);
    if (row === null) {
      return null;
    }
    const hour = now - (now % USE_GRAIN_MS);
    if ((row.last_used_at_ms ?? 0) < hour) {
      this.#sql.exec("UPDATE keys SET last_used_at_ms = ? WHERE id = ?", hour, row.id);
    }
    const { scopes, limits } = entryOf(row);
    return {
      id: row.id,
      name: row.name,
      kind: "key",
      scopes,
      limits,
      budget: row.budget,
      expiresAtMs: row.expires_at_ms,
    };
  }

  list(query: { maker?: string; limit: number; cursor?: string }): { keys: KeyEntry[]; next: string | null } {
    const rows = this.#sql
      .exec<Row>(
        `SELECT * FROM keys WHERE (?1 IS NULL OR maker = ?1 OR id = ?1)
         AND (?2 IS NULL OR n < (SELECT n FROM keys WHERE id = ?2 AND (?1 IS NULL OR maker = ?1 OR id = ?1)))
         ORDER BY n DESC LIMIT ?3`,
        query.maker ?? null,
        query.cursor ?? null,
        query.limit + 1,
      )
      .toArray();
    const page = rows.slice(0, query.limit);
    return { keys: page.map(entryOf), next: rows.length > page.length ? (page.at(-1)?.id ?? null) : null };
  }

  /** With all that it has made, and they: otherwise a leaked key would outlive its end in one of its own making. */
  revoke(id: string, maker: string | null, now: number): KeyEntry | null {
    const [known] = this.#sql
      .exec<Row>("SELECT * FROM keys WHERE id = ?1 AND (?2 IS NULL OR maker = ?2 OR id = ?2)", id, maker)
      .toArray();
    if (known === undefined) {
      return null;
    }
    this.#sql.exec(
      `WITH RECURSIVE made (id) AS (SELECT ?1 UNION SELECT keys.id FROM keys JOIN made ON keys.maker = made.id)
       UPDATE keys SET revoked_at_ms = ?2 WHERE id IN (SELECT id FROM made) AND revoked_at_ms IS NULL`,
      id,
      now,
    );
    return { ...entryOf(known), revokedAtMs: known.revoked_at_ms ?? now };
  }

  #good(by: "hash" | "id", value: string, now: number): Row | null {
    const [row] = this.#sql.exec<Row>(`SELECT * FROM keys WHERE ${by} = ?1 AND ${GOOD}`, value, now).toArray();
    return row ?? null;
  }

  #clear(now: number): void {
    this.#sql.exec(
      "DELETE FROM keys WHERE min(ifnull(revoked_at_ms, ?1), ifnull(expires_at_ms, ?1)) < ?2",
      now,
      now - GONE_KEY_LIFE_MS,
    );
  }
}

function entryOf(row: Row): KeyEntry {
  return {
    id: row.id,
    name: row.name,
    maker: row.maker,
    scopes: StoredScopes.parse(JSON.parse(row.scopes)),
    limits: StoredLimits.parse(JSON.parse(row.limits)),
    createdAtMs: row.created_at_ms,
    expiresAtMs: row.expires_at_ms,
    revokedAtMs: row.revoked_at_ms,
    lastUsedAtMs: row.last_used_at_ms,
  };
}

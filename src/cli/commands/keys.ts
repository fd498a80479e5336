/** `drayage keys create | list | revoke`: asks a service, shows its answer, says what went wrong. */
import { UsageError } from "../failure.ts";
import { asking, type AskingOptions, notThisService, segment, tableText } from "./asking.ts";
import type { CommandIo } from "./io.ts";

export type KeysOptions = AskingOptions;

export interface CreateKeyOptions extends KeysOptions {
  source: string[];
  target: string[];
  action: string[];
  expires?: string;
  atOnce?: number;
  perHour?: number;
}

const DEFAULT_ACTIONS = ["copy", "read", "cancel"];

const UNITS_MS: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000 };

/** What is shown of a key; the service's answer has more. */
interface KeyView {
  id: string;
  name: string;
  state: string;
  scopes: { sources: string[]; targets: string[]; actions: string[] };
  times: { expiresAt: string | null; lastUsedAt: string | null };
}

export function createKeyCommand(name: string, options: CreateKeyOptions, io: CommandIo): Promise<number> {
  return asking(options, io, async (client, signal) => {
    const { atOnce, perHour } = options;
    const actions = options.action.length === 0 ? DEFAULT_ACTIONS : options.action;
    const missing = options.source.length === 0 ? "--source" : options.target.length === 0 ? "--target" : null;
    if (missing !== null && actions.includes("copy")) {
      throw new UsageError(
        missing,
        `${missing} is missing: a key that may copy, but from or to nowhere, is of no use.`,
      );
    }
    const body = {
      name,
      scopes: {
        sources: options.source,
        targets: options.target,
        actions,
      },
      limits: {
        ...(atOnce === undefined ? {} : { copiesAtOnce: atOnce }),
        ...(perHour === undefined ? {} : { copiesPerHour: perHour }),
      },
      ...(options.expires === undefined ? {} : { expiresAt: expiryOf(options.expires, Date.now()) }),
    };
    const made = await client.ask("POST", "/v1/keys", signal, body);
    if (!isKeyView(made) || !("key" in made) || typeof made.key !== "string") {
      throw notThisService();
    }
    return { answer: made, text: `${made.key}\n`, remark: `${detailsOf(made)}\nIt is not shown again.\n` };
  });
}

export function listKeysCommand(options: KeysOptions, io: CommandIo): Promise<number> {
  return asking(options, io, async (client, signal) => {
    const keys: KeyView[] = [];
    for (let cursor: string | null = ""; cursor !== null;) {
      const query: string = cursor === "" ? "" : `?cursor=${encodeURIComponent(cursor)}`;
      const page = await client.ask("GET", `/v1/keys${query}`, signal);
      if (!isPage(page)) {
        throw notThisService();
      }
      keys.push(...page.keys);
      cursor = page.next;
    }
    const text = keys.length === 0 ? "" : table(keys);
    return { answer: { keys }, text, remark: keys.length === 0 ? "There are no keys.\n" : "" };
  });
}

export function revokeKeyCommand(id: string, options: KeysOptions, io: CommandIo): Promise<number> {
  return asking(options, io, async (client, signal) => {
    const revoked = await client.ask("DELETE", `/v1/keys/${segment(id, "ID")}`, signal);
    if (!isKeyView(revoked)) {
      throw notThisService();
    }
    return { answer: revoked, text: "", remark: `Revoked: ${revoked.id} (${revoked.name}).\n` };
  });
}

/**
 * When `30d`, `12h`, `45m` from now is, or a date (then its end in UTC), or a time, in RFC 3339.
 * @throws UsageError for anything else.
 */
export function expiryOf(text: string, nowMs: number): string {
  const span = /^([1-9]\d{0,5})([mhd])$/.exec(text);
  const isDate = /^\d{4}-\d{2}-\d{2}$/.test(text);
  const isTime = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,3})?)?(Z|[+-]\d{2}:\d{2})$/.test(text);
  const ms = span
    ? nowMs + Number(span[1]) * (UNITS_MS[span[2] ?? ""] ?? NaN)
    : Date.parse(isDate ? `${text}T23:59:59Z` : isTime ? text : "");
  if (Number.isNaN(ms)) {
    throw new UsageError(
      "--expires",
      `--expires: "${text}" is no time; write 30d, 12h, 45m, or a date such as 2027-01-31`,
    );
  }
  return new Date(ms).toISOString();
}

function detailsOf({ id, name, scopes, times }: KeyView): string {
  return [
    `${id} (${name}) may ${scopes.actions.join(", ")}`,
    `  from  ${scopes.sources.join(", ") || "nowhere"}`,
    `  to    ${scopes.targets.join(", ") || "nowhere"}`,
    `  until ${times.expiresAt ?? "it is revoked"}`,
  ].join("\n");
}

function table(keys: readonly KeyView[]): string {
  const rows = keys.map(({ id, name, state, scopes, times }) => [
    id,
    state,
    times.expiresAt?.slice(0, 10) ?? "never",
    times.lastUsedAt?.slice(0, 10) ?? "never",
    scopes.actions.join(","),
    name,
  ]);
  return tableText([["ID", "STATE", "EXPIRES", "USED", "ACTIONS", "NAME"], ...rows]);
}

function isKeyView(value: unknown): value is KeyView {
  return typeof value === "object" && value !== null && "id" in value && "scopes" in value && "times" in value;
}

function isPage(value: unknown): value is { keys: KeyView[]; next: string | null } {
  return typeof value === "object" && value !== null && "keys" in value && Array.isArray(value.keys) && "next" in value;
}

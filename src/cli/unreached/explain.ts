/**
 * Says of a failure to reach a registry why, where the command can find out: the service inside this machine reaches registries
 * from where the command runs too. Adds words to a message and changes nothing else.
 */
import type { ErrorDetail } from "../../registry/errors.ts";
import type { FileSettings } from "../settings.ts";
import { findingText, type Address } from "./words.ts";

/** The sentence to add to an error's message; null: nothing was found out. */
export type Explain = (error: ErrorDetail, signal: AbortSignal) => Promise<string | null>;

/** For a service that runs elsewhere: what can be reached from here says nothing of it. */
export const NO_EXPLANATION: Explain = () => Promise.resolve(null);

/** Why a registry, by its host in references, cannot be reached now; null: it can be, or nothing was found out. Never throws. */
export type LookAt = (host: string, signal: AbortSignal) => Promise<string | null>;

/** As {@link NO_EXPLANATION}. */
export const NO_LOOK: LookAt = () => Promise.resolve(null);

/** Longest look at one host. */
const LIMIT_MS = 3_000;

/**
 * Who was asked in vain, in the transport's words: the registry itself, the token endpoint that it names, or a store that it
 * leads to. Of a repository's copy the first tag's failure speaks for all. What did connect and then broke off is none of it.
 */
const UNREACHED =
  /^(?:\d+ of \d+ tags failed,(?: the first of them)? \S*: )?(\S+) (?:could not be reached|did not answer within)\b/;

/** @param certificates Those of `--ca`, in PEM. */
export function explainWith(settings: Pick<FileSettings, "hosts">, certificates: readonly string[]): Explain {
  // Of a file's hundred copies to one host, and of a repository's tags, all fail alike: it is looked at once.
  const known = new Map<string, Promise<string | null>>();
  return async ({ code, host, message }, signal) => {
    const who = UNREACHED.exec(message)?.[1];
    if ((code !== "connection" && code !== "stalled") || host === "" || who === undefined) {
      return null;
    }
    const address = await addressOf(settings, host, who);
    if (address === null) {
      return null;
    }
    const key = `${address.tls} ${who}`;
    const found = known.get(key) ?? lookedAt(address, certificates, signal);
    known.set(key, found);
    return found;
  };
}

/** @param certificates Those of `--ca`, in PEM. */
export function lookWith(settings: Pick<FileSettings, "hosts">, certificates: readonly string[]): LookAt {
  return async (host, signal) => {
    const address = await addressOf(settings, host, null);
    return address === null ? null : lookedAt(address, certificates, signal);
  };
}

/** What has an error, with the explanation in its message. */
export async function explained<T extends { error: ErrorDetail | null }>(
  view: T,
  explain: Explain,
  signal: AbortSignal,
): Promise<T> {
  const added = view.error === null ? null : await explain(view.error, signal);
  return view.error === null || added === null
    ? view
    : { ...view, error: { ...view.error, message: withSentence(view.error.message, added) } };
}

/** The same for what became of each tag of a repository; each host is looked at once. */
export function allExplained<T extends { error: ErrorDetail | null }>(
  views: readonly T[],
  explain: Explain,
  signal: AbortSignal,
): Promise<T[]> {
  return Promise.all(views.map((view) => explained(view, explain, signal)));
}

export function withSentence(message: string, added: string): string {
  return `${message.replace(/\.$/, "")}. ${added}`;
}

async function lookedAt(
  address: Address,
  certificates: readonly string[],
  signal: AbortSignal,
): Promise<string | null> {
  const { look } = await import("./look.ts");
  const finding = await look(address, { certificates, limitMs: LIMIT_MS, signal }).catch(() => null);
  // Whether who is not the registry was asked in plain HTTP is not known.
  const isGuess = finding?.kind === "secure" && address.host === null;
  return finding === null || isGuess ? null : findingText(finding, address);
}

/**
 * Where the transport was to be connected to.
 * @param host Of the registry, whose settings count.
 * @param who As the message has it, null: the registry; another speaks HTTPS, unless the registry itself does not.
 * @returns null: the settings are wrong, which is told elsewhere, or nobody can say in which protocol it was asked.
 */
async function addressOf(
  { hosts }: Pick<FileSettings, "hosts">,
  host: string,
  who: string | null,
): Promise<Address | null> {
  // Loaded here: a copy that comes to a good end needs none of it.
  const { hostSettings } = await import("../../config.ts");
  try {
    const { hostname, tls } = hostSettings({ HOSTS: hosts }, host);
    const isSecure = tls === "enabled";
    const scheme = isSecure ? "https" : "http";
    const own = new URL(`${scheme}://${hostname}/`);
    const url = who === null ? own : new URL(`${scheme}://${who}/`);
    const isOwn = url.host === own.host;
    if ((who !== null && url.host !== who) || (!isOwn && !isSecure && url.port === "")) {
      return null;
    }
    const port = url.port === "" ? (isSecure ? 443 : 80) : Number(url.port);
    const name = url.hostname.replace(/^\[(.*)\]$/, "$1");
    return { host: isOwn ? host : null, name, port, tls: isSecure };
  } catch {
    return null;
  }
}

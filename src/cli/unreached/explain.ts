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

/** Longest look at one host. */
const LIMIT_MS = 3_000;

/** @param certificates Those of `--ca`, in PEM. */
export function explainWith(settings: Pick<FileSettings, "hosts">, certificates: readonly string[]): Explain {
  // Of a file's hundred copies to one host all fail alike: it is looked at once.
  const known = new Map<string, Promise<string | null>>();
  return async (error, signal) => {
    if (error.code !== "connection" || error.host === "") {
      return null;
    }
    const address = await addressOf(settings, error.host);
    if (address === null || !isAbout(error, address)) {
      return null;
    }
    const found = known.get(error.host) ?? lookedAt(address, certificates, signal);
    known.set(error.host, found);
    return found;
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
  return finding === null ? null : findingText(finding, address);
}

/** Where the settings say that a host is reached; null: they are wrong, which is told elsewhere. */
async function addressOf({ hosts }: Pick<FileSettings, "hosts">, host: string): Promise<Address | null> {
  // Loaded here: a copy that comes to a good end needs none of it.
  const { hostSettings } = await import("../../config.ts");
  try {
    const { hostname, tls } = hostSettings({ HOSTS: hosts }, host);
    const isSecure = tls === "enabled";
    const url = new URL(`${isSecure ? "https" : "http"}://${hostname}/`);
    const port = url.port === "" ? (isSecure ? 443 : 80) : Number(url.port);
    return { host, name: url.hostname.replace(/^\[(.*)\]$/, "$1"), port, tls: isSecure };
  } catch {
    return null;
  }
}

/** Whether it is the registry itself that was not reached: a realm of tokens or a store may be meant instead. */
function isAbout({ message }: ErrorDetail, { name, port, tls }: Address): boolean {
  const shown = name.includes(":") ? `[${name}]` : name;
  const host = port === (tls ? 443 : 80) ? shown : `${shown}:${port}`;
  return message.startsWith(`${host} `);
}

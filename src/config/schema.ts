/**
 * What HOSTS and TOKENS may hold, and what is said about everything else. Pure: text or objects in, settings or a list of
 * complaints out. `config.ts` decides when it is read and how it is kept.
 */
import * as z from "zod";
import type { HostSettings } from "../registry/contract.ts";
import { isLoopback } from "../registry/address.ts";
import { checked, isGiven, parsed, type Reading } from "./checking.ts";
import { registryHost, parseHostName } from "./host-name.ts";

/** The adaptive concurrency never goes above it, so a higher cap would only look as if it did something. */
const MAX_REQ_CONCURRENT = 64;
const MAX_REQ_PER_SEC = 10_000;
/** Far above every quota that registries are known to give. */
const MAX_QUOTA_RESERVE = 1_000_000_000;
/** Registries that demand chunks take at least 5 MiB; smaller ones only cost requests. 64 KiB serves tests. */
const MIN_CHUNK_BYTES = 64 * 1024;
/** No registry takes more in one request (S3's limit for one part). */
const MAX_CHUNK_BYTES = 5 * 1024 ** 3;

const UNITS: Readonly<Record<string, number>> = { KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 };

/** Components of a repository. */
const REPOSITORY_PATH = /^[a-z0-9]+(?:[._/-]+[a-z0-9]+)*$/;

/** Each is asked before the source is, so that more only cost time. */
const MAX_MIRRORS = 5;

/** A host as in references, and where all of its repositories lie below a prefix, as proxies have it, that prefix too. */
const mirrorText = z
  .string('a host name as text is needed, such as "mirror.example.com" or "harbor.example.com/hub"')
  .transform((text, context) => {
    const [name = "", ...prefix] = text.replace(/\/+$/, "").split("/");
    const host = registryHost(name);
    if (host === null || (prefix.length > 0 && !REPOSITORY_PATH.test(prefix.join("/")))) {
      // With user information it may hold a password.
      const shown = text.includes("@") ? "" : `${JSON.stringify(text)} `;
      context.addIssue(
        `${shown}is no mirror; write its host, or host/prefix where its repositories lie below a prefix, without a scheme`,
      );
      return z.NEVER;
    }
    return [host, ...prefix].join("/");
  });

/** Docker Hub's own API host must stay as written: as `hostname` it is not another spelling of `docker.io`. */
const hostnameText = z
  .string('a host name as text is needed, such as "registry-1.docker.io"')
  .refine((text) => parseHostName(text) !== null, "is not a host name; write it as host or host:port, without a scheme")
  .transform((text) => text.toLowerCase());

const chunkBytes = z
  .union([z.number(), z.string()], 'a number of bytes is needed, or text such as "16MiB"')
  .transform((value, context) => {
    const bytes = typeof value === "number" ? value : bytesOf(value);
    if (bytes === 0 || (Number.isInteger(bytes) && bytes >= MIN_CHUNK_BYTES && bytes <= MAX_CHUNK_BYTES)) {
      return bytes;
    }
    context.addIssue('use 0 (one piece), or a size from 64KiB to 5GiB as a number of bytes or as text such as "16MiB"');
    return z.NEVER;
  });

const HostFields = {
  tls: z
    .enum(["enabled", "disabled"], {
      error: ({ input }) =>
        input === "insecure"
          ? 'certificates are always checked; give the command a private CA with --ca FILE, or use "disabled" for plain HTTP'
          : 'use "enabled" (HTTPS) or "disabled" (plain HTTP)',
    })
    .optional(),
  hostname: hostnameText.optional(),
  path_prefix: z
    .string("text is needed")
    .transform((text) => text.replaceAll(/^\/+|\/+$/g, ""))
    .refine(
      (text) => text === "" || REPOSITORY_PATH.test(text),
      'use repository path components, such as "mirrors/hub"',
    )
    .optional(),
  req_concurrent: z
    .int(`a whole number from 0 (no cap) to ${MAX_REQ_CONCURRENT} is needed`)
    .min(0, "use 0 for no cap")
    .max(MAX_REQ_CONCURRENT, `use at most ${MAX_REQ_CONCURRENT}; 0 means no cap`)
    .optional(),
  req_per_sec: z
    .number(`a number from 0 (no cap) to ${MAX_REQ_PER_SEC} is needed`)
    .min(0, "use 0 for no cap")
    .max(MAX_REQ_PER_SEC, `use at most ${MAX_REQ_PER_SEC}; 0 means no cap`)
    .optional(),
  quota_reserve: z
    .int("a whole number of requests is needed; 0 keeps none back")
    .min(0, "use 0 to keep none back")
    .max(MAX_QUOTA_RESERVE, `use at most ${MAX_QUOTA_RESERVE}; 0 keeps none back`)
    .optional(),
  chunk_bytes: chunkBytes.optional(),
  verify: z
    .enum(
      ["stream", "target"],
      'use "stream" (hash every blob on its way) or "target" (leave it to the target registry)',
    )
    .optional(),
  mirrors: z
    .array(mirrorText, 'a list of hosts is needed, such as ["mirror.example.com"]')
    .max(MAX_MIRRORS, `name at most ${MAX_MIRRORS}`)
    .refine((names) => new Set(names).size === names.length, "names one of them twice")
    .optional(),
};

const HostEntry = z.strictObject(HostFields, "the host's settings are needed, such as { req_concurrent = 8 }");

const Hosts = z.record(z.string(), z.unknown(), "a table of settings by registry host is needed");

const Tokens = z.array(
  z.string("text is needed").regex(/^sha256:[0-9a-f]{64}$/, {
    error: "use the sha256:… line that `drayage token` prints (the hash; never the token itself)",
  }),
  'a list of hashes is needed, such as ["sha256:…"]',
);

/** Settings that other tools have under these names, and where they went here. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  user: "credentials go into the secrets DOCKER_CONFIG or REGISTRY_CREDENTIALS",
  username: "credentials go into the secrets DOCKER_CONFIG or REGISTRY_CREDENTIALS",
  pass: "credentials go into the secrets DOCKER_CONFIG or REGISTRY_CREDENTIALS",
  password: "credentials go into the secrets DOCKER_CONFIG or REGISTRY_CREDENTIALS",
  token: "credentials go into the secrets DOCKER_CONFIG or REGISTRY_CREDENTIALS",
  blobChunk: "it is called chunk_bytes here",
  regcert: "give the command a private CA with --ca FILE",
};

const HOST_HINTS = { known: Object.keys(HostFields), elsewhere: ELSEWHERE };

/** Reads HOSTS (an object, the same as JSON text, or nothing) into settings by canonical host: only what was configured. */
export function readHosts(given: unknown): Reading<ReadonlyMap<string, HostSettings>> {
  const complaints: string[] = [];
  const hosts = new Map<string, HostSettings>();
  for (const [key, value] of Object.entries(
    checked(Hosts, "HOSTS", isGiven(given) ? parsed(given) : {}, complaints) ?? {},
  )) {
    const field = `HOSTS.${JSON.stringify(key)}`;
    const host = registryHost(key);
    const entry = checked(HostEntry, field, value, complaints, HOST_HINTS);
    if (host === null) {
      complaints.push(`${field}: not a host name; write it as host or host:port, without a scheme`);
    } else if (hosts.has(host)) {
      complaints.push(`${field}: names ${host} a second time; keep one of the two`);
    } else if (entry?.mirrors?.includes(host) === true) {
      complaints.push(`${field}.mirrors: names ${host} itself, which is asked last anyway; leave it out`);
    } else if (entry !== undefined) {
      hosts.set(host, withDefaults(host, { ...writtenPort(key, host, entry), ...entry }));
    }
  }
  return { value: hosts, complaints };
}

/** The port that a host's one name leaves out is that of its usual scheme: with the other one it must be said where it is reached. */
function writtenPort(key: string, host: string, { tls }: z.infer<typeof HostEntry>): { hostname?: string } {
  const port = parseHostName(key)?.port ?? null;
  const usual = withDefaults(host);
  const isOther = port !== null && tls !== undefined && tls !== usual.tls && !host.endsWith(`:${port}`);
  return isOther ? { hostname: `${usual.hostname}:${port}` } : {};
}

/** Reads TOKENS (a list, the same as JSON text, or nothing) into the SHA-256 of each token that may use the API. */
export function readTokens(given: unknown): Reading<readonly Uint8Array[]> {
  const complaints: string[] = [];
  const hashes = checked(Tokens, "TOKENS", isGiven(given) ? parsed(given) : [], complaints) ?? [];
  return { value: hashes.map(bytesOfHash), complaints };
}

/** The settings of a host that nobody configured, or with what was configured put over them. */
export function withDefaults(host: string, entry: z.infer<typeof HostEntry> = {}): HostSettings {
  const hostname = entry.hostname ?? (host === "docker.io" ? "registry-1.docker.io" : host);
  const loopback = isLoopback(parseHostName(hostname)?.hostname ?? "");
  return {
    host,
    hostname,
    tls: entry.tls ?? (loopback ? "disabled" : "enabled"),
    pathPrefix: entry.path_prefix ?? "",
    reqConcurrent: entry.req_concurrent ?? 0,
    reqPerSec: entry.req_per_sec ?? 0,
    quotaReserve: entry.quota_reserve ?? 0,
    chunkBytes: entry.chunk_bytes ?? 0,
    verify: entry.verify ?? "stream",
    mirrors: entry.mirrors ?? [],
  };
}

function bytesOfHash(hash: string): Uint8Array {
  return Uint8Array.from(hash.slice("sha256:".length).match(/../g) ?? [], (byte) => parseInt(byte, 16));
}

function bytesOf(text: string): number {
  const match = /^([0-9]+)\s*(KiB|MiB|GiB)?$/.exec(text);
  return match === null ? NaN : Number(match[1]) * (UNITS[match[2] ?? ""] ?? 1);
}

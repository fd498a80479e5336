/** The keys of regsync's file that change nothing here, and why: each is told once. Pure. */
import type { Path } from "./contract.ts";
import type { Notes } from "./notes.ts";
import type { RegsyncFile } from "./regsync-schema.ts";

const SCHEDULE = "this is one run, now; for schedules make a rule of a running service, or call the command from cron";
const HELPER = "not honoured; helpers are named in docker's configuration (credHelpers)";
const ELSEWHERE = "not honoured; only what is attached in the source's own repository is copied, to the target's";

type Part = "creds" | "defaults" | "sync" | "tags" | "repos";

/** By the part of the file. A key that is neither here nor read is not known. */
const UNHEEDED: Readonly<Record<Part, Readonly<Record<string, string>>>> = {
  creds: {
    credHelper: HELPER,
    credExpire: HELPER,
    credHost: "not honoured",
    regcert: "not honoured; trust the certificate with --ca FILE",
    clientCert: "not honoured; there are no client certificates",
    clientKey: "not honoured; there are no client certificates",
    mirrors: 'not honoured; set "mirrors" in the host settings',
    priority: 'not honoured; mirrors are read in the order of the host settings ("mirrors")',
    repoAuth: "always so: a token is for one repository",
    apiOpts: "not honoured",
    blobChunk: 'not honoured; chunks are used where a registry needs them ("chunk_bytes" in the host settings)',
    blobMax: 'not honoured; chunks are used where a registry needs them ("chunk_bytes" in the host settings)',
    scheme: "not honoured; tls: disabled is plain HTTP",
    api: "not honoured",
  },
  defaults: {
    parallel:
      "not honoured; all copies are started, and how many requests a registry takes orders them (--parallel N bounds it)",
    blobLimit: "not honoured; blobs of any size are copied, their size is checked",
    cacheCount: "not honoured; nothing is cached beyond the run",
    cacheTime: "not honoured; nothing is cached beyond the run",
    userAgent: "not honoured",
    interval: SCHEDULE,
    schedule: SCHEDULE,
    hooks: "not honoured (regsync does not run them either)",
    referrerSource: ELSEWHERE,
    referrerTarget: ELSEWHERE,
    referrerSlow: "not honoured; referrers are asked for by the API, else by their fallback tag",
  },
  sync: {
    interval: SCHEDULE,
    schedule: SCHEDULE,
    hooks: "not honoured (regsync does not run them either)",
    referrerSource: ELSEWHERE,
    referrerTarget: ELSEWHERE,
    referrerSlow: "not honoured; referrers are asked for by the API, else by their fallback tag",
  },
  tags: {},
  repos: {},
};

const COMMON =
  "backup digestTags referrers referrerFilters fastCheck forceRecursive includeExternal mediaTypes ratelimit";

const READ: Readonly<Record<Part, ReadonlySet<string>>> = {
  creds: new Set("registry user pass token hostname tls pathPrefix reqPerSec reqConcurrent".split(" ")),
  defaults: new Set(`${COMMON} skipDockerConfig`.split(" ")),
  sync: new Set(`${COMMON} source target type repos tags tagSets platform platforms`.split(" ")),
  tags: new Set(["allow", "deny", "semverRange"]),
  repos: new Set(["allow", "deny"]),
};

/** Tells of every key that is not honoured. */
export function noteUnheeded(file: RegsyncFile, notes: Notes): void {
  const top = new Set(["version", "creds", "defaults", "sync"]);
  for (const key of Object.keys(file).filter((name) => !top.has(name) && !name.startsWith("x-"))) {
    notes.add(key, [key], "is not known, and not honoured");
  }
  for (const [index, creds] of (file.creds ?? []).entries()) {
    look("creds", creds, ["creds", index], notes);
  }
  look("defaults", file.defaults ?? {}, ["defaults"], notes);
  for (const [index, entry] of file.sync.entries()) {
    look("sync", entry, ["sync", index], notes);
    look("repos", entry.repos ?? {}, ["sync", index, "repos"], notes);
    look("tags", entry.tags ?? {}, ["sync", index, "tags"], notes);
    for (const [at, set] of (entry.tagSets ?? []).entries()) {
      look("tags", set, ["sync", index, "tagSets", at], notes);
    }
  }
}

function look(part: Part, value: object, path: Path, notes: Notes): void {
  for (const [key, each] of Object.entries(value)) {
    if (each !== undefined && each !== null && !READ[part].has(key) && !key.startsWith("x-")) {
      notes.add(key, [...path, key], UNHEEDED[part][key] ?? "is not known, and not honoured");
    }
  }
}

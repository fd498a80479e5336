/**
 * Well-known registries, as far as their manners are known, as options of the test registry. They are what clients have
 * reported, not what vendors promise: a trait stands here because some client once failed on it.
 */
import type { RegistryOptions } from "./server.ts";

export type Personality =
  | "ghcr"
  | "ecr"
  | "gar"
  | "acr"
  | "hub"
  | "quay"
  | "harbor"
  | "jfrog"
  | "gitlab"
  | "cloudflare";

const MIB = 1024 ** 2;

/** Who may log in everywhere here. */
export const USER = { name: "somebody", password: "something" };

export const PERSONALITIES: Readonly<Record<Personality, Omit<RegistryOptions, "personality">>> = {
  // Chunks above 4 MiB are refused with 416, single bodies of any size are not; even public images need a token.
  ghcr: {
    auth: { type: "bearer", users: [USER], anonymousPull: true },
    redirect: true,
    maxChunkBytes: 4 * MIB,
    location: "absolute",
    deletes: false,
  },
  // Basic all the way; repositories must be made first; a whole PATCH closes the upload; Range stands still.
  ecr: {
    auth: { type: "basic", users: [USER] },
    redirect: true,
    createsRepositories: false,
    minChunkBytes: 5 * MIB,
    closesOnPatch: true,
    rangeStandsStill: true,
    immutableTags: true,
    hidesDigest: true,
    mount: "none",
    singlePost: false,
    location: "absolute",
    tagPageSize: 1000,
  },
  // No chunks; Content-Length on every POST; tokens by GET only.
  gar: {
    auth: { type: "bearer", users: [USER], methods: "get", field: "token" },
    redirect: true,
    forms: ["put", "patch"],
    demandsLength: true,
    singlePost: false,
  },
  // Large single bodies are refused, chunks of a stated length are not.
  acr: {
    auth: { type: "bearer", users: [USER], field: "access_token" },
    redirect: true,
    maxPutBytes: 20_000_000,
    referrers: true,
  },
  // Docker's own way; counts manifest GETs; refuses token requests that name foreign repositories.
  hub: {
    auth: { type: "bearer", users: [USER], anonymousPull: true, refusesForeignScopes: true },
    redirect: true,
    singlePost: false,
    limits: { quota: { limit: 100, windowSeconds: 21_600 } },
    deletes: false,
  },
  // Manifests are taken with 202; a mount needs to say from where; blobs above 20 GB only in chunks.
  quay: {
    auth: { type: "bearer", users: [USER], anonymousPull: true },
    redirect: true,
    writtenStatus: 202,
    mountNeedsFrom: true,
    maxPutBytes: 20_000_000_000,
  },
  // A mount from what may not be read is answered with 401 in place of an upload.
  harbor: {
    auth: { type: "bearer", users: [USER], anonymousPull: true },
    mountRefusal: 401,
    mount: "from",
    location: "absolute",
    referrers: true,
  },
  // Older versions take PATCH only; a missing tag is 403, for those who may not list.
  jfrog: {
    auth: { type: "basic", users: [USER] },
    forms: ["patch"],
    mount: "none",
    missingStatus: 403,
    singlePost: false,
  },
  gitlab: {
    auth: { type: "bearer", users: [USER], anonymousPull: true },
    redirect: true,
    maxBodyBytes: 5_000_000_000,
    mount: "from",
  },
  // On R2: bodies of up to 100 MB, chunks of equal size and at least 5 MiB, with both limits told.
  cloudflare: {
    auth: { type: "basic", users: [USER] },
    minChunkBytes: 5 * MIB,
    maxChunkBytes: 100_000_000,
    tellsMaxChunk: true,
    maxPutBytes: 100_000_000,
    equalChunks: true,
    singlePost: false,
  },
};

export function isPersonality(name: string): name is Personality {
  return Object.hasOwn(PERSONALITIES, name);
}

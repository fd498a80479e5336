/** What the tables of trials are made of: the requests of a copy, registries of some manners, and rules that strike them. */
import type { FaultAction, FaultRule, RegistryOptions } from "../registry-server/server.ts";
import { USER } from "./trial.ts";

export const MIB = 1024 ** 2;

export const BLOB = /\/blobs\/sha256/;
export const MANIFEST = /\/manifests\//;
export const BY_TAG = /\/manifests\/v/;
export const UPLOAD = /\/blobs\/uploads\//;
export const TOKEN = /^\/token/;

type Match = NonNullable<FaultRule["match"]>;

export const GET_BLOB: Match = { method: "GET", path: BLOB };
export const RANGED: Match = { ...GET_BLOB, header: { range: /./ } };
export const HEAD_BLOB: Match = { method: "HEAD", path: BLOB };
export const POST_UPLOAD: Match = { method: "POST", path: UPLOAD };
export const MOUNT: Match = { method: "POST", path: /mount=/ };
export const PUT_BLOB: Match = { method: "PUT", path: UPLOAD };
export const PATCH_BLOB: Match = { method: "PATCH", path: UPLOAD };
/** Of requests with a body: only those of the large layers. */
export const LARGE = { header: { "content-length": /^\d{7,}$/ } };
export const PUT_MANIFEST: Match = { method: "PUT", path: MANIFEST };
export const PUT_TAG: Match = { method: "PUT", path: BY_TAG };

export const LOGIN: RegistryOptions = { auth: { type: "bearer", users: [USER] } };
export const CHUNKED: RegistryOptions = { forms: ["chunks"] };
export const PATCHED: RegistryOptions = { forms: ["patch"] };

export const ONCE = { times: 1 };
/** At each blob once. */
export const EACH_ONCE = { times: 1, perPath: true };

export function rule(match: Match, action: FaultAction, more: Partial<FaultRule> = {}): FaultRule {
  return { match, action, ...more };
}

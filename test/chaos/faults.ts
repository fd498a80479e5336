/** Draws a fault of a registry: what breaks, at which request, how often. Every one of them can be come through. */
import type { FaultAction, FaultRule } from "../registry-server/faults.ts";
import { integer, type Random } from "../sim/random.ts";

const BLOB_READ = { method: "GET", path: /\/blobs\/sha256/ };
const BLOB_WRITE = { method: ["PUT", "PATCH"], path: /\/blobs\/uploads\// };
const UPLOAD_START = { method: "POST", path: /\/blobs\/uploads\// };
const MANIFEST_READ = { method: ["GET", "HEAD"], path: /\/manifests\// };
const MANIFEST_WRITE = { method: "PUT", path: /\/manifests\// };
const ANY = { path: /^\/v2\// };

type Draw = (random: Random) => [FaultRule["match"] & object, FaultAction];

const RETRY_SOON = { "retry-after": "1" };

const DRAWS: readonly Draw[] = [
  (random) => [BLOB_READ, { type: "reset", afterBytes: bytes(random) }],
  (random) => [BLOB_READ, { type: "truncate", afterBytes: bytes(random) }],
  (random) => [BLOB_READ, { type: "stall", afterBytes: bytes(random) }],
  () => [BLOB_READ, { type: "chunked" }],
  () => [BLOB_READ, { type: "no-ranges" }],
  () => [BLOB_READ, { type: "slow", bytesPerSecond: 400_000 }],
  (random) => [BLOB_WRITE, { type: "reset-request", afterBytes: bytes(random) }],
  () => [BLOB_WRITE, { type: "lose-upload" }],
  () => [BLOB_WRITE, { type: "slow-request", bytesPerSecond: 400_000 }],
  (random) => [BLOB_WRITE, { type: "late-error", status: serverError(random) }],
  (random) => [UPLOAD_START, { type: "late-error", status: serverError(random) }],
  (random) => [MANIFEST_WRITE, { type: "late-error", status: serverError(random) }],
  (random) => [MANIFEST_READ, { type: "reset", afterBytes: integer(random, 0, 300) }],
  (random) => [ANY, { type: "status", status: serverError(random) }],
  (random) => [ANY, { type: "status", status: 429, headers: random() < 0.5 ? RETRY_SOON : {} }],
  () => [ANY, { type: "reset", afterBytes: 0 }],
  () => [ANY, { type: "hang", ms: 7_000 }],
  (random) => [ANY, { type: "delay", ms: integer(random, 50, 1_500) }],
];

export function drawFault(random: Random): FaultRule {
  const draw = DRAWS[integer(random, 0, DRAWS.length - 1)] ?? DRAWS[0];
  if (draw === undefined) {
    throw new Error("unreachable: there are faults");
  }
  const [match, action] = draw(random);
  return { match, action, skip: integer(random, 0, 12), times: integer(random, 1, 2) };
}

/** Bytes that arrive wrong, always the same ones, are read three times in all; so often may be too often. */
const MOST_DAMAGES = 2;

/**
 * Damages a manifest or blob on its way, so seldom that it comes through. By tag nobody can know that a manifest is wrong.
 * @param digests What is read by digest. @param damaged What was drawn before, at the same registry; grows.
 */
export function drawDamage(
  random: Random,
  digests: { manifests: readonly string[]; blobs: readonly string[] },
  damaged: Set<string>,
): FaultRule | null {
  const isBlob = random() < 0.6;
  const list = isBlob ? digests.blobs : digests.manifests;
  const digest = list[integer(random, 0, list.length - 1)];
  if (digest === undefined || damaged.has(digest)) {
    return null;
  }
  damaged.add(digest);
  const action: FaultAction = isBlob
    ? { type: "corrupt", atByte: integer(random, 0, 100) }
    : { type: "wrong-body", body: "{}", contentType: "application/json" };
  const path = `/${isBlob ? "blobs" : "manifests"}/${digest}`;
  return { match: { method: "GET", path }, action, times: integer(random, 1, MOST_DAMAGES) };
}

/** Within a small layer as a rule, sometimes deep inside a large one. */
function bytes(random: Random): number {
  return random() < 0.5 ? integer(random, 0, 8_000) : integer(random, 0, 1_000_000);
}

function serverError(random: Random): number {
  return [500, 502, 503, 504][integer(random, 0, 3)] ?? 500;
}

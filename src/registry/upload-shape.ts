/**
 * In which shape a host takes blobs: one PUT, one PATCH, or chunks; what is known of well-known hosts, and what a refusal
 * teaches. Pure: shapes are plain data that a host remembers and hands to its lanes. It must never send anything.
 */
import type { HostSettings } from "./contract.ts";
import type { ErrorDetail } from "./errors.ts";

export interface UploadShape {
  /**
   * Blobs that fit into one request: as the body of the closing PUT, as one PATCH without Content-Range before it, or as
   * the only chunk.
   */
  whole: "put" | "patch" | "chunks";
  /** Larger blobs go in several chunks; 0: none is too large. */
  maxWholeBytes: number;
  /** Size of all chunks but the last, in bytes; 0: the host takes no chunks. */
  chunkBytes: number;
  /** Whether the `Range` of its answers can be relied on; else our own count is. */
  tellsOffset: boolean;
  /** Refusals learned from: of two shapes the one with more lessons is newer. */
  lessons: number;
  /** For people: why this shape. */
  reason: string;
}

/** How one blob goes up. */
export type UploadPlan = { way: "put" | "patch" } | { way: "chunks"; chunkBytes: number };

/** What an open session said of its chunks; 0: nothing. */
export interface ChunkBounds {
  minChunkBytes: number;
  maxChunkBytes: number;
}

const MIB = 1024 ** 2;
const GIB = 1024 ** 3;

/** Few requests for a large blob, and little to send again when one breaks. Over the least part of every object store. */
const CHUNK_BYTES = 16 * MIB;
/** What GHCR takes; whoever refuses a first chunk of this size takes none. */
const SMALL_CHUNK_BYTES = 4 * MIB;
/** Nothing smaller is tried: a layer of 1 GiB would take tens of thousands of requests. */
const LEAST_CHUNK_BYTES = 64 * 1024;
/** A large blob that has failed this often in one request is sent in chunks, which lose less. */
const WHOLE_FAILURES_MAX = 1;
/** … if it is larger than this. */
const LARGE_BYTES = 16 * MIB;
/**
 * Larger blobs go in chunks from the first: on many lines they need more than one lane's time, and most registries keep
 * nothing of a request that broke.
 */
const LONG_BYTES = GIB;

/** The shape of a host of which nothing is known: two requests, and what the spec has every registry take. */
const ORDINARY: UploadShape = {
  whole: "put",
  maxWholeBytes: 0,
  chunkBytes: CHUNK_BYTES,
  tellsOffset: true,
  lessons: 0,
  reason: "nothing is known of this host: one PUT",
};

interface KnownHost extends Partial<Omit<UploadShape, "lessons">> {
  host: RegExp;
  reason: string;
}

/** Hosts whose manners are known, and from where. The first that matches counts. */
const KNOWN_HOSTS: readonly KnownHost[] = [
  {
    host: /^ghcr\.io$/,
    chunkBytes: SMALL_CHUNK_BYTES,
    reason: "GHCR: PUTs of any size, but chunks (Content-Range) above 4 MiB are answered with 416",
  },
  {
    host: /\.dkr[.-]ecr[.-].+\.amazonaws\.com(\.cn)?$|\.on\.aws$|^public\.ecr\.aws$/,
    chunkBytes: 10 * MIB,
    tellsOffset: false,
    reason: "ECR: parts of 5 MiB at least, and a Range that stays at the first of them though all are stored",
  },
  {
    host: /(^|\.)gcr\.io$|-docker\.pkg\.dev$/,
    chunkBytes: 0,
    reason: "Google: documented to take no chunked uploads",
  },
  {
    host: /\.azurecr\.(io|cn|us)$/,
    maxWholeBytes: 20_000_000,
    reason: "ACR: larger bodies than about 20 MB were seen to be refused with 413",
  },
  {
    host: /^quay\.io$/,
    maxWholeBytes: 20_000_000_000,
    chunkBytes: 512 * MIB,
    reason: "Quay: refuses blobs above 20 GB in one request",
  },
  {
    host: /^registry\.cloudflare\.com$/,
    maxWholeBytes: 95 * MIB,
    chunkBytes: 95 * MIB,
    reason: "Cloudflare: a request may have 100 MB; its store wants equal parts of 5 MiB and more",
  },
  {
    host: /^registry\.gitlab\.com$/,
    maxWholeBytes: 4 * GIB,
    chunkBytes: 512 * MIB,
    reason: "GitLab: behind Cloudflare, which lets 5 GB through in one request",
  },
  { host: /^docker\.io$/, reason: "Docker Hub: one PUT, or docker's own way, which is one PATCH" },
  { host: /\.jfrog\.io$/, reason: "JFrog: one PUT; older ones want one PATCH, which is tried when that is refused" },
];

/** The shape to begin with: what the settings demand, else what is known of the host, else the ordinary one. */
export function initialShape({ host, chunkBytes }: Pick<HostSettings, "host" | "chunkBytes">): UploadShape {
  const { host: _, ...known } = KNOWN_HOSTS.find((each) => each.host.test(host)) ?? { host: null };
  const shape = { ...ORDINARY, ...known };
  const reason = "chunk_bytes is set for this host";
  return chunkBytes === 0 ? shape : { ...shape, maxWholeBytes: chunkBytes, chunkBytes, reason };
}

/**
 * How a blob of this size goes into an open session.
 * @param attempt 1 for the first try.
 */
export function planUpload(shape: UploadShape, sizeBytes: number, bounds: ChunkBounds, attempt = 1): UploadPlan {
  const { whole, maxWholeBytes, chunkBytes } = shape;
  const limits = [maxWholeBytes, bounds.maxChunkBytes].filter((bytes) => bytes > 0);
  const isTooLarge = limits.some((bytes) => sizeBytes > bytes);
  const isFailing = attempt > WHOLE_FAILURES_MAX && sizeBytes > LARGE_BYTES;
  const isLong = sizeBytes > LONG_BYTES;
  const isChunked = chunkBytes > 0 && (isTooLarge || isFailing || isLong || whole === "chunks");
  if (!isChunked) {
    return { way: whole === "chunks" ? "put" : whole };
  }
  const mostBytes = bounds.maxChunkBytes === 0 ? chunkBytes : Math.min(chunkBytes, bounds.maxChunkBytes);
  const size = Math.max(mostBytes, bounds.minChunkBytes);
  // A blob of a single chunk is as well sent whole: more hosts take that.
  return size >= sizeBytes && whole !== "chunks" ? { way: whole } : { way: "chunks", chunkBytes: size };
}

/** A try to send one blob, and how the host refused it. */
export interface RefusedUpload {
  plan: UploadPlan;
  sizeBytes: number;
  /** Where the refused request began in the blob. */
  firstByte: number;
  error: Pick<ErrorDetail, "code" | "status" | "message">;
}

/** The shape to go on with after a refusal; null: the shape is not to blame, or there is no other. */
export function learnFrom(shape: UploadShape, refused: RefusedUpload): UploadShape | null {
  const { plan, sizeBytes, firstByte, error } = refused;
  if (!isAboutForm(error)) {
    return null;
  }
  const sentBytes = plan.way === "chunks" ? Math.min(plan.chunkBytes, sizeBytes - firstByte) : sizeBytes;
  const limitBytes = statedLimit(error.message, sentBytes);
  if (error.status === 413 || limitBytes !== null) {
    return smaller(shape, plan, sentBytes, limitBytes);
  }
  const reason = `${FORMS[plan.way]} was answered with ${error.status}`;
  if (plan.way === "put") {
    return lesson(shape, reason, { whole: "patch" });
  }
  if (plan.way === "patch") {
    return shape.chunkBytes === 0 ? null : lesson(shape, reason, { whole: "chunks" });
  }
  // GHCR's limit, whether it is named or not.
  if (error.status === 416 && firstByte === 0 && sentBytes > SMALL_CHUNK_BYTES) {
    return lesson(shape, reason, { chunkBytes: SMALL_CHUNK_BYTES });
  }
  return shape.whole === "chunks" ? null : lesson(shape, reason, { chunkBytes: 0, maxWholeBytes: 0 });
}

/** The shape after a chunk whose answer told another offset than was sent; null: nothing new. */
export function learnFromOffset(shape: UploadShape, sentBytes: number, toldBytes: number): UploadShape | null {
  if (!shape.tellsOffset || toldBytes === sentBytes) {
    return null;
  }
  return lesson(shape, "the Range after a chunk was not what had been sent", { tellsOffset: false });
}

/** Whether more has been learned for one shape of a host than for another. */
export function isNewer(shape: UploadShape, than: UploadShape): boolean {
  return shape.lessons > than.lessons;
}

const FORMS: Readonly<Record<UploadPlan["way"], string>> = { put: "one PUT", patch: "one PATCH", chunks: "a chunk" };

/** Refusals for other reasons (login, rights, load, a lost session, wrong bytes) would meet any form. */
function isAboutForm({ code, status = 0 }: Pick<ErrorDetail, "code" | "status">): boolean {
  const isRefused = code === "upload_rejected" || code === "unsupported" || code === "size_mismatch";
  // 201: the upload was closed after its first chunk.
  return isRefused && ((status >= 400 && status < 500) || status === 501 || status === 201);
}

/** A body of `sentBytes` was too large. `limitBytes`: what the host says it takes. */
function smaller(
  shape: UploadShape,
  plan: UploadPlan,
  sentBytes: number,
  limitBytes: number | null,
): UploadShape | null {
  const reason = `${FORMS[plan.way]} of ${sentBytes} bytes was too large`;
  const usualBytes = sentBytes > SMALL_CHUNK_BYTES && plan.way === "chunks" ? SMALL_CHUNK_BYTES : shape.chunkBytes;
  const chunkBytes = Math.min(limitBytes ?? Math.min(usualBytes, powerBelow(sentBytes)), shape.chunkBytes);
  if (chunkBytes < LEAST_CHUNK_BYTES) {
    return null;
  }
  return lesson(shape, reason, { chunkBytes, maxWholeBytes: plan.way === "chunks" ? shape.maxWholeBytes : chunkBytes });
}

function lesson(shape: UploadShape, reason: string, changed: Partial<UploadShape>): UploadShape {
  return { ...shape, ...changed, lessons: shape.lessons + 1, reason: `learned: ${reason}` };
}

/** The largest power of two that is at most half as many bytes. */
function powerBelow(bytes: number): number {
  return 2 ** Math.floor(Math.log2(Math.max(1, bytes / 2)));
}

const UNITS: Readonly<Record<string, number>> = {
  BYTES: 1,
  KB: 1000,
  KIB: 1024,
  MB: 1_000_000,
  MIB: MIB,
  GB: 1_000_000_000,
  GIB: GIB,
};

/** "exceeds the maximum permissible limit of 4.00MiB": the least number of bytes below what was sent, if any. */
function statedLimit(words: string, sentBytes: number): number | null {
  const limits = [...words.matchAll(/(\d{1,15}(?:\.\d{1,3})?)\s*(KiB|MiB|GiB|KB|MB|GB|bytes)\b/gi)]
    .map((match) => Math.floor(Number(match[1]) * (UNITS[(match[2] ?? "").toUpperCase()] ?? 0)))
    .filter((bytes) => bytes >= LEAST_CHUNK_BYTES && bytes < sentBytes);
  return limits.length === 0 ? null : Math.min(...limits);
}

/** An answer as data, before it is written: handlers return one or throw a RegistryError, and only `exchange.ts` writes it. */

export interface Reply {
  status: number;
  headers: Record<string, string>;
  body: Iterable<Buffer>;
  /** Length of the body: what Content-Length says, also on HEAD. */
  sizeBytes: number;
}

/** Codes of the distribution spec's error list, and the two that registries add. */
export type ErrorCode =
  | "BLOB_UNKNOWN"
  | "BLOB_UPLOAD_INVALID"
  | "BLOB_UPLOAD_UNKNOWN"
  | "DIGEST_INVALID"
  | "MANIFEST_BLOB_UNKNOWN"
  | "MANIFEST_INVALID"
  | "MANIFEST_UNKNOWN"
  | "NAME_INVALID"
  | "NAME_UNKNOWN"
  | "SIZE_INVALID"
  | "TAG_INVALID"
  | "UNAUTHORIZED"
  | "DENIED"
  | "UNSUPPORTED"
  | "TOOMANYREQUESTS"
  | "RANGE_INVALID"
  | "UNKNOWN";

/** A refusal in the words of the spec. */
export class RegistryError extends Error {
  readonly status: number;
  readonly code: ErrorCode;
  readonly headers: Record<string, string>;

  constructor(status: number, code: ErrorCode, message: string, headers: Record<string, string> = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.headers = headers;
  }

  reply(): Reply {
    const body = { errors: [{ code: this.code, message: this.message, detail: null }] };
    return jsonReply(this.status, body, this.headers);
  }
}

export function emptyReply(status: number, headers: Record<string, string> = {}): Reply {
  return { status, headers, body: [], sizeBytes: 0 };
}

export function bytesReply(status: number, bytes: Buffer, headers: Record<string, string>): Reply {
  return { status, headers, body: bytes.length > 0 ? [bytes] : [], sizeBytes: bytes.length };
}

export function jsonReply(status: number, value: unknown, headers: Record<string, string> = {}): Reply {
  return bytesReply(status, Buffer.from(JSON.stringify(value)), { "content-type": "application/json", ...headers });
}

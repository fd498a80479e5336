/**
 * One request and its answer on the wire: reading the body, writing the reply, and every fault that shows in bytes,
 * time or the connection. What the answer says is none of its business.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { FaultAction } from "./faults.ts";
import type { RecordedRequest } from "./recorder.ts";
import { bytesReply, emptyReply, RegistryError, type Reply } from "./reply.ts";

/** Largest body that is read into memory whole: a manifest, a token request. */
const SMALL_BODY_BYTES = 16 * 1024 * 1024;
/** Time for the last bytes to leave before the connection is cut. */
const FLUSH_MS = 5;
/** As long as a timer of node can run. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;
const WRONG_DIGEST = `sha256:${"0".repeat(64)}`;

export class Exchange {
  readonly request: IncomingMessage;
  readonly url: URL;
  readonly record: RecordedRequest;
  readonly fault: FaultAction | null;
  readonly #response: ServerResponse;
  /** Kept, since node takes it off a request that was broken off. */
  readonly #socket: Socket;

  constructor(
    request: IncomingMessage,
    response: ServerResponse,
    url: URL,
    record: RecordedRequest,
    fault: FaultAction | null,
  ) {
    this.request = request;
    this.#socket = request.socket;
    this.#response = response;
    this.url = url;
    this.record = record;
    this.fault = fault;
    if (fault) {
      record.fault = fault.type;
    }
  }

  get method(): string {
    return this.record.method;
  }

  /** Whether the connection is gone. */
  get over(): boolean {
    return this.#response.destroyed || this.#socket.destroyed;
  }

  header(name: string): string | undefined {
    return [this.request.headers[name]].flat()[0];
  }

  /** The request's body, counted. Throws when the client breaks off. */
  async *body(): AsyncGenerator<Buffer> {
    const { fault } = this;
    const start = performance.now();
    for await (const data of this.request) {
      let piece: Buffer = Buffer.isBuffer(data) ? data : Buffer.from(String(data));
      if (fault?.type === "reset-request") {
        piece = piece.subarray(0, Math.max(0, fault.afterBytes - this.record.bytesIn));
      }
      this.record.bytesIn += piece.length;
      yield piece;
      if (fault?.type === "reset-request" && this.record.bytesIn >= fault.afterBytes) {
        this.cut();
        break;
      }
      if (fault?.type === "slow-request") {
        await pace(start, this.record.bytesIn, fault.bytesPerSecond);
      }
    }
    if (fault?.type === "reset-request") {
      this.cut();
      throw new Error("the test cut the request");
    }
  }

  /** The request's body whole; 413 when it is larger than `limitBytes`. */
  async smallBody(limitBytes = SMALL_BODY_BYTES): Promise<Buffer> {
    const pieces: Buffer[] = [];
    for await (const piece of this.body()) {
      if (this.record.bytesIn <= limitBytes) {
        pieces.push(piece);
      }
    }
    if (this.record.bytesIn > limitBytes) {
      throw new RegistryError(413, "SIZE_INVALID", `at most ${limitBytes} bytes`);
    }
    return Buffer.concat(pieces);
  }

  /** Ends the connection at once, with a reset. */
  cut(): void {
    if (!this.#socket.destroyed) {
      this.#socket.resetAndDestroy();
    }
  }

  /** Faults that come before the registry looks at the request. Gives the reply that stands instead of its own, if any. */
  async before(closing: AbortSignal): Promise<Reply | null> {
    const { fault } = this;
    if (!fault) {
      return null;
    }
    if (fault.type === "status") {
      return faultReply(fault.status, fault.code ?? "UNKNOWN", fault.headers ?? {}, fault.body);
    }
    if (fault.type === "wrong-body") {
      return bytesReply(200, Buffer.from(fault.body), {
        "content-type": fault.contentType ?? "application/octet-stream",
      });
    }
    if (fault.type === "hang") {
      this.request.resume();
      await waitMs(fault.ms ?? LONGEST_TIMER_MS, closing, this.#response);
      this.cut();
    }
    if (fault.type === "reset" && fault.afterBytes === 0) {
      this.cut();
    }
    if (fault.type === "delay") {
      await waitMs(fault.ms, closing, this.#response);
    }
    if (fault.type === "hold") {
      await fault.until;
    }
    if (fault.type === "redirect") {
      const { pathname, search } = this.url;
      const home = fault.host === undefined ? "" : `http://${fault.host}`;
      const location = `${home}${pathname}${search === "" ? "?" : `${search}&`}moved=1`;
      return emptyReply(fault.status, { location });
    }
    if (fault.type === "no-ranges") {
      delete this.request.headers.range;
    }
    if (fault.type === "shift-range") {
      this.request.headers.range = shifted(this.header("range") ?? "", fault.byBytes);
    }
    return null;
  }

  /** Writes the reply, with what the fault makes of it. */
  async write(plain: Reply): Promise<void> {
    const response = this.#response;
    if (this.over) {
      return;
    }
    const { fault } = this;
    if (fault?.type === "late-reset") {
      this.cut();
      return;
    }
    const reply = changed(plain, fault);
    this.record.status = reply.status;
    const declared = reply.sizeBytes + (fault?.type === "content-length" ? fault.off : 0);
    if (fault?.type !== "chunked" && reply.status !== 204) {
      response.setHeader("content-length", declared);
    }
    response.writeHead(reply.status, reply.headers);
    if (this.method === "HEAD") {
      response.end();
      return;
    }
    // A reset or stall is about the body: the head must be out before it.
    response.flushHeaders();
    const start = performance.now();
    for (const whole of reply.body) {
      let piece = whole;
      if (fault && "afterBytes" in fault && fault.type !== "reset-request") {
        const left = fault.afterBytes - this.record.bytesOut;
        if (left < piece.length) {
          await this.#send(piece.subarray(0, left));
          await this.#breakOff(fault.type);
          return;
        }
      }
      if (fault?.type === "corrupt") {
        piece = withFlippedByte(piece, fault.atByte - this.record.bytesOut);
      }
      for (const part of fault?.type === "slow" ? parts(piece, fault.bytesPerSecond) : [piece]) {
        await this.#send(part);
        if (this.over) {
          return;
        }
        if (fault?.type === "slow") {
          await pace(start, this.record.bytesOut, fault.bytesPerSecond);
        }
      }
    }
    if (fault?.type === "content-length") {
      // node would complain of a body that is not as long as declared: the connection is ended below it.
      await flushed();
      this.#socket.end();
    } else {
      response.end();
    }
  }

  async #breakOff(how: "reset" | "truncate" | "stall"): Promise<void> {
    if (how === "stall") {
      return;
    }
    await flushed();
    if (how === "reset") {
      this.cut();
    } else {
      this.#socket.end();
    }
  }

  async #send(piece: Buffer): Promise<void> {
    const response = this.#response;
    if (this.over || piece.length === 0) {
      return;
    }
    this.record.bytesOut += piece.length;
    if (response.write(piece)) {
      return;
    }
    await new Promise<void>((resolve) => {
      const go = (): void => {
        response.off("drain", go);
        response.off("close", go);
        resolve();
      };
      response.on("drain", go);
      response.on("close", go);
    });
  }
}

function changed(reply: Reply, fault: FaultAction | null): Reply {
  if (fault?.type === "late-error") {
    return faultReply(fault.status, "UNKNOWN", fault.headers ?? {});
  }
  if (fault?.type === "wrong-digest") {
    return { ...reply, headers: { ...reply.headers, "docker-content-digest": WRONG_DIGEST } };
  }
  if (fault?.type === "location") {
    const { location = "", ...headers } = reply.headers;
    const changedTo = fault.to(location);
    return { ...reply, headers: { ...headers, ...(changedTo !== null && { location: changedTo }) } };
  }
  if (fault?.type === "shift-range" && !fault.told) {
    const range = reply.headers["content-range"] ?? "";
    return { ...reply, headers: { ...reply.headers, "content-range": shifted(range, -fault.byBytes) } };
  }
  if (fault?.type === "headers") {
    const dropped = new Set(fault.drop?.map((name) => name.toLowerCase()));
    const kept = Object.entries(reply.headers).filter(([name]) => !dropped.has(name.toLowerCase()));
    return { ...reply, headers: { ...Object.fromEntries(kept), ...fault.set } };
  }
  return reply;
}

/** A Range or Content-Range with another first byte. */
function shifted(range: string, byBytes: number): string {
  return range.replace(/[0-9]+/, (first) => String(Number(first) + byBytes));
}

function faultReply(status: number, code: string, headers: Record<string, string>, body?: string): Reply {
  if (body === "") {
    return emptyReply(status, headers);
  }
  const bytes = Buffer.from(body ?? JSON.stringify({ errors: [{ code, message: "the test asked for this" }] }));
  return bytesReply(status, bytes, { "content-type": "application/json", ...headers });
}

function withFlippedByte(piece: Buffer, at: number): Buffer {
  if (at < 0 || at >= piece.length) {
    return piece;
  }
  const copy = Buffer.from(piece);
  copy.writeUInt8(copy.readUInt8(at) ^ 0xff, at);
  return copy;
}

/** Small enough that a slow body really trickles: about 20 parts a second. */
function* parts(piece: Buffer, bytesPerSecond: number): Generator<Buffer> {
  const step = Math.max(1, Math.floor(bytesPerSecond / 20));
  for (let at = 0; at < piece.length; at += step) {
    yield piece.subarray(at, at + step);
  }
}

async function pace(start: number, bytes: number, bytesPerSecond: number): Promise<void> {
  const dueMs = start + (bytes / bytesPerSecond) * 1000 - performance.now();
  if (dueMs > 0) {
    await new Promise((resolve) => setTimeout(resolve, dueMs));
  }
}

function flushed(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, FLUSH_MS));
}

/** Waits so long, or until the registry closes or the client is gone. */
function waitMs(ms: number, closing: AbortSignal, response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const go = (): void => {
      clearTimeout(timer);
      closing.removeEventListener("abort", go);
      response.off("close", go);
      resolve();
    };
    const timer = setTimeout(go, ms);
    closing.addEventListener("abort", go);
    response.on("close", go);
  });
}

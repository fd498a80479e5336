/** A receiver that takes messages as Standard Webhooks tells receivers to: it checks the signature before anything else. */
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { CopyView } from "../../src/job/contract.ts";
import type { NotificationTarget } from "../../src/notify/contract.ts";
import { listen, shut } from "../support/loopback.ts";

export const KEY = Buffer.alloc(32, 7).toString("base64");

/** What the receiver answers next; the last one stays. */
export interface Reply {
  status: number;
  headers?: Record<string, string>;
}

export interface Received {
  id: string;
  timestamp: number;
  contentType: string;
  body: string;
  /** Whether the signature is good under the receiver's key, and not older than five minutes by its clock. */
  genuine: boolean;
}

export interface Receiver {
  url: string;
  received: Received[];
  replies: Reply[];
  close(): Promise<void>;
}

/** @param now The receiver's clock, in milliseconds since the epoch. */
export async function startReceiver(now: () => number = Date.now, key = KEY): Promise<Receiver> {
  const received: Received[] = [];
  const replies: Reply[] = [{ status: 204 }];
  const take = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    received.push(readMessage(request, await bodyOf(request), now(), key));
    const { status, headers } = (replies.length > 1 ? replies.shift() : replies[0]) ?? { status: 204 };
    response.writeHead(status, headers).end();
  };
  const server = createServer((request, response) => void take(request, response));
  const port = await listen(server);
  return {
    url: `http://127.0.0.1:${port}/hook`,
    received,
    replies,
    close: () => shut(server),
  };
}

export function receiverAt(url: string, changes: Partial<NotificationTarget> = {}): NotificationTarget {
  return {
    name: "ops",
    url,
    events: ["succeeded", "failed", "cancelled"],
    sources: null,
    targets: null,
    keys: [KEY],
    ...changes,
  };
}

export function copy(changes: Partial<CopyView> = {}): CopyView {
  return {
    id: `cp_${"0".repeat(26)}`,
    state: "succeeded",
    dryRun: false,
    asked: { by: "root", name: "root", how: "api", rule: null },
    group: null,
    source: { reference: "ghcr.io/acme/app:1", digest: null },
    target: { reference: "registry.example.com/mirror/app:1", digest: null },
    tags: { all: 1, copied: 1, unchanged: 0, skipped: 0, failed: 0, obsolete: 0, deleted: 0 },
    blobs: { all: 4, copied: 2, mounted: 1, present: 0 },
    bytes: { all: 1_000, copied: 700, mounted: 200, present: 0 },
    manifests: { all: 1, copied: 1, present: 0 },
    requests: { source: 4, target: 9 },
    times: {
      acceptedAt: "2026-11-24T08:00:00.000Z",
      firstByteAt: "2026-11-24T08:00:00.200Z",
      doneAt: "2026-11-24T08:00:01.500Z",
    },
    warnings: [],
    error: null,
    ...changes,
  };
}

/** Standard Webhooks, "Verifying webhook authenticity", written from the receiver's side. */
function readMessage(request: IncomingMessage, body: string, nowMs: number, key: string): Received {
  const header = (name: string) => String(request.headers[name] ?? "");
  const [id, timestamp, signatures] = [header("webhook-id"), header("webhook-timestamp"), header("webhook-signature")];
  const expected = createHmac("sha256", Buffer.from(key, "base64")).update(`${id}.${timestamp}.${body}`).digest();
  const isSigned = signatures.split(" ").some((signature) => {
    const [version, mac = ""] = signature.split(",");
    const given = Buffer.from(mac, "base64");
    return version === "v1" && given.length === expected.length && timingSafeEqual(given, expected);
  });
  const isFresh = Math.abs(nowMs / 1000 - Number(timestamp)) <= 300;
  return { id, timestamp: Number(timestamp), contentType: header("content-type"), body, genuine: isSigned && isFresh };
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = [];
  for await (const piece of request) {
    pieces.push(Buffer.from(piece));
  }
  return Buffer.concat(pieces).toString("utf8");
}

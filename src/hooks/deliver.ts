/**
 * One delivery from its request to its answer: address, size, sender, proof, content, and then whoever starts copies. Told
 * no more than needed: a wrong address is 404 for every reason; what a hook ignores is 2xx, since senders switch off hooks
 * that fail, and distribution repeats a refused delivery for ever.
 */
import type { CheckedPushEvent, Delivery, Hook, Ignored, Parsed, StartResult } from "./contract.ts";
import { MAX_DELIVERY_BYTES, readBody } from "./body.ts";
import { normalised, shown } from "./normalise.ts";
import { isPathPart } from "./path-part.ts";
import { MAX_PUSHES } from "./pushes.ts";
import { senderOf } from "./senders/table.ts";
import type { KeySets } from "./token.ts";
import { verifyDelivery } from "./verify.ts";

/** Lists in an answer are for a person who looks at a delivery; its `counts` are complete. */
const MAX_LISTED = 100;

/** Who is told to try again later, in seconds. */
const RETRY_AFTER_SECONDS = 5;

/** RFC 9110, section 15.5.2: a 401 has one. It does not tell which proof the hook wants. */
const CHALLENGE = 'Bearer realm="drayage hooks"';

/** What deliveries need from the rest of the service. */
export interface DeliveryPorts {
  /**
   * Takes the pushes on and says what became of them. It must have noted them durably when it resolves, and resolve within
   * the second: resolving at the source comes after it. What it throws reaches the caller of {@link deliver}, so that the
   * sender repeats the delivery.
   */
  start(events: readonly CheckedPushEvent[]): Promise<StartResult>;
  keySets: KeySets;
  nowMs: number;
}

/**
 * Answers a request to a hook's address.
 * @param hook Null where there is none of that name: answered like a wrong address, with the same work.
 * @param pathPart The part of the address that cannot be guessed, as requested.
 */
export async function deliver(
  hook: Hook | null,
  pathPart: string,
  request: Request,
  ports: DeliveryPorts,
): Promise<Response> {
  const isRight = await isPathPart(pathPart, hook?.pathHash);
  if (hook === null || !isRight) {
    return problem(404, "not-found", "There is nothing here", "There is no hook at this address.");
  }
  if (request.method === "OPTIONS") {
    return permission(request.headers);
  }
  if (request.method !== "POST") {
    return problem(405, "method-not-allowed", "This address does not take this method", "Deliver with POST.", {
      allow: "OPTIONS, POST",
    });
  }
  const read = await readBody(request);
  if (read.kind === "packed") {
    return unreadable(
      `it is not in "${read.encoding}", or that is none that is known here; send it unpacked, or in gzip`,
    );
  }
  if (read.kind === "too-large") {
    return tooLarge(`${MAX_DELIVERY_BYTES / 1024} KiB`);
  }
  const delivery: Delivery = {
    headers: request.headers,
    query: new URL(request.url).searchParams,
    signed: read.signed,
    body: read.json,
    receivedAtMs: ports.nowMs,
  };
  return answered(hook, delivery, ports);
}

async function answered(hook: Hook, delivery: Delivery, ports: DeliveryPorts): Promise<Response> {
  const sender = senderOf(hook, delivery.headers, delivery.body);
  const verdict = await verifyDelivery(hook, sender, delivery, ports.keySets);
  if (verdict.kind === "unavailable") {
    const detail = `The delivery cannot be checked now: ${verdict.reason}. Send it again.`;
    return problem(503, "unavailable", "Not now; try again later", detail, {
      "retry-after": String(RETRY_AFTER_SECONDS),
    });
  }
  if (verdict.kind === "refused") {
    const detail = `The delivery is not believed: ${verdict.reason}.`;
    return problem(401, "unauthorized", "The delivery cannot be verified", detail, { "www-authenticate": CHALLENGE });
  }
  if (delivery.body === undefined && !delivery.headers.has("ce-type")) {
    return unreadable(delivery.signed[0].byteLength === 0 ? "its body is empty" : "its body is not JSON in UTF-8");
  }
  if (sender === null) {
    return unreadable(
      'no sender is recognised in it; set "sender" of the hook, and "fields" for one that is not known here',
    );
  }
  return answerFor(sender.parse(delivery, hook), hook, sender.name, ports);
}

function answerFor(read: Parsed, hook: Hook, sender: string, ports: DeliveryPorts): Response | Promise<Response> {
  switch (read.kind) {
    case "ping":
      return Response.json({ outcome: "pong", sender, hook: hook.name });
    case "handshake":
      return read.answer.body === null
        ? new Response(null, read.answer)
        : Response.json(read.answer.body, { status: read.answer.status, headers: read.answer.headers });
    case "ignored":
      return report(hook, sender, { started: [], joined: [], ignored: [{ what: "delivery", reason: read.reason }] });
    case "too-many":
      return tooLarge(`${MAX_PUSHES} events`);
    case "invalid":
      return unreadable(read.problem);
    case "push":
      break;
  }
  return startOf(read, hook, sender, ports);
}

async function startOf(
  { events, ignored }: Extract<Parsed, { kind: "push" }>,
  hook: Hook,
  sender: string,
  ports: DeliveryPorts,
): Promise<Response> {
  if (events.length > MAX_PUSHES) {
    return tooLarge(`${MAX_PUSHES} pushes`);
  }
  const checked: CheckedPushEvent[] = [];
  const dropped: Ignored[] = [...ignored];
  for (const event of events) {
    const result = normalised(event, hook);
    if ("event" in result) {
      checked.push(result.event);
    } else {
      dropped.push(result.ignored);
    }
  }
  const result = checked.length === 0 ? { started: [], joined: [], ignored: [] } : await ports.start(checked);
  return report(hook, sender, { ...result, ignored: [...result.ignored, ...dropped] });
}

/** What was started, or why nothing was. */
function report(hook: Hook, sender: string, { started, joined, ignored }: StartResult): Response {
  const outcome = started.length > 0 ? "started" : joined.length > 0 ? "joined" : "ignored";
  const body = {
    outcome,
    sender,
    hook: hook.name,
    counts: { started: started.length, joined: joined.length, ignored: ignored.length },
    started: started.slice(0, MAX_LISTED),
    joined: joined.slice(0, MAX_LISTED),
    ignored: ignored.slice(0, MAX_LISTED).map(({ what, reason }) => ({ what: shown(what), reason: shown(reason) })),
  };
  return Response.json(body, { status: started.length > 0 ? 202 : 200 });
}

/** The question of CloudEvents whether events are wanted (HTTP webhook 1.0, section 4), which Event Grid asks too. */
function permission(headers: Headers): Response {
  const origin = headers.get("webhook-request-origin");
  const rate = headers.get("webhook-request-rate");
  return new Response(null, {
    status: 200,
    headers: {
      allow: "OPTIONS, POST",
      ...(origin === null ? {} : { "webhook-allowed-origin": origin, "webhook-allowed-rate": rate ?? "*" }),
    },
  });
}

function tooLarge(bound: string): Response {
  const detail = `The delivery has more than ${bound}; let the sender send fewer events at once.`;
  return problem(413, "too-large", "The body is too large", detail);
}

function unreadable(what: string): Response {
  const detail = `The delivery cannot be read: ${shown(what)}.`;
  return problem(400, "malformed-request", "The request cannot be read", detail);
}

/** Problem details (RFC 9457) of the kinds that the API has. */
function problem(
  status: number,
  kind: string,
  title: string,
  detail: string,
  headers: Record<string, string> = {},
): Response {
  const body = { type: `urn:drayage:problem:${kind}`, title, status, detail };
  return Response.json(body, { status, headers: { ...headers, "content-type": "application/problem+json" } });
}

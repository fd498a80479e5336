/**
 * Instruments a Worker from outside: every entry into it is an invocation, and what an invocation sends is counted against
 * the limits of production. A limit that is broken is one line in the log; nothing else changes. Where production would
 * refuse or queue, this lets go on.
 */
import { DurableObject, RpcTarget } from "cloudflare:workers";
import { AsyncLocalStorage } from "node:async_hooks";
import {
  BATCH_BYTES_MAX,
  BATCH_MESSAGES_MAX,
  CONNECTIONS_MAX,
  LOG_KEY,
  MESSAGE_BYTES_MAX,
  OBJECT_BODY_BYTES_MAX,
  type LimitLine,
  type LimitName,
} from "./bounds.ts";

/** Shorter ones cannot have used up their CPU time: their times are of no interest. */
const LONG_INVOCATION_MS = 500;

/** One event of the Worker; for an object its whole life, since all its events share one context and its connections. */
interface Invocation {
  name: string;
  kind: "event" | "object";
  /** Connections that count now. */
  waiting: number;
}

const current = new AsyncLocalStorage<Invocation>();
const owners = new WeakMap<object, Invocation>();
const contexts = new WeakMap<object, DurableObjectState>();
const patched = new WeakSet<object>();

const plainFetch = globalThis.fetch.bind(globalThis);
globalThis.fetch = async (input: RequestInfo | URL, init?: RequestInit): Promise<Response> => {
  const invocation = current.getStore();
  if (invocation?.kind === "object") {
    checkObjectBody(invocation, input, init);
  }
  return counted("fetch", () => plainFetch(input, init));
};

/** The Worker's handlers, each call an invocation of its own. */
export function trackedHandlers<Handlers extends object>(handlers: Handlers): Handlers {
  return new Proxy(handlers, {
    get(target, name, receiver) {
      const handler: unknown = Reflect.get(target, name, receiver);
      if (typeof handler !== "function") {
        return handler;
      }
      return async (event: unknown, env: object, context: unknown): Promise<unknown> => {
        const invocation: Invocation = { name: String(name), kind: "event", waiting: 0 };
        const beganMs = Date.now();
        try {
          return await current.run(invocation, () => Reflect.apply(handler, target, [event, trackedEnv(env), context]));
        } finally {
          const endedMs = Date.now();
          if (endedMs - beganMs >= LONG_INVOCATION_MS) {
            write({ [LOG_KEY]: "invocation", name: invocation.name, beganMs, endedMs });
          }
        }
      };
    },
  });
}

/** A method that a run adds to every object of a class. */
export type Door = (context: DurableObjectState) => void;

/**
 * A class of Durable Objects, each of which counts as one invocation from its constructor on.
 * @param doors Further methods, by name.
 */
export function trackedClass<Class extends new (context: DurableObjectState, env: never) => DurableObject>(
  plain: Class,
  doors: Readonly<Record<string, Door>> = {},
): Class {
  for (const [name, door] of Object.entries(doors)) {
    const value = async function (this: object): Promise<void> {
      const context = contexts.get(this);
      if (context !== undefined) {
        door(context);
      }
    };
    Object.defineProperty(plain.prototype, name, { value, configurable: true });
  }
  for (let prototype: object = plain.prototype; prototype !== DurableObject.prototype;) {
    patchMethods(prototype);
    prototype = Object.getPrototypeOf(prototype);
  }
  return new Proxy(plain, {
    construct(target, [context, env]: [DurableObjectState, object], newTarget) {
      const invocation: Invocation = { name: target.name, kind: "object", waiting: 0 };
      const made: object = current.run(invocation, () =>
        Reflect.construct(target, [context, trackedEnv(env)], newTarget),
      );
      owners.set(made, invocation);
      contexts.set(made, context);
      return made;
    },
  });
}

/** Has every method of a prototype run in the invocation that its object belongs to. */
function patchMethods(prototype: object): void {
  if (patched.has(prototype)) {
    return;
  }
  patched.add(prototype);
  for (const name of Reflect.ownKeys(prototype)) {
    const property = Object.getOwnPropertyDescriptor(prototype, name);
    const method: unknown = property?.value;
    if (name === "constructor" || property === undefined || typeof method !== "function") {
      continue;
    }
    const tracked = function (this: object, ...args: unknown[]): unknown {
      const invocation = owners.get(this);
      const call = (): unknown => Reflect.apply(method, this, args);
      const result = invocation === undefined ? call() : current.run(invocation, call);
      return result instanceof Promise ? result.then((value) => adopted(value, invocation)) : result;
    };
    Object.defineProperty(prototype, name, { ...property, value: tracked });
  }
}

/** An RPC target that an object hands out belongs to it: calls to it run in its context. */
function adopted<T>(value: T, invocation: Invocation | undefined): T {
  if (value instanceof RpcTarget && invocation !== undefined) {
    owners.set(value, invocation);
    patchMethods(Object.getPrototypeOf(value));
  }
  return value;
}

/** The environment with its queues watched: every binding that has `sendBatch`. */
function trackedEnv(env: object): object {
  return Object.fromEntries(Object.entries(env).map(([name, binding]) => [name, trackedBinding(binding)]));
}

function trackedBinding(binding: unknown): unknown {
  return isQueue(binding) ? trackedQueue(binding) : binding;
}

/** Every other kind of binding answers for any name asked of it, or for none. */
function isQueue(binding: unknown): binding is Queue {
  return typeof binding === "object" && binding !== null && binding.constructor.name === "WorkerQueue";
}

function trackedQueue(queue: Queue): Queue {
  return {
    metrics: () => queue.metrics(),
    send: (message, options) => {
      checkMessages([message]);
      return counted("queue", () => queue.send(message, options));
    },
    sendBatch: (messages, options) => {
      const all = [...messages];
      checkMessages(all.map(({ body }) => body));
      return counted("queue", () => queue.sendBatch(all, options));
    },
  };
}

function checkMessages(bodies: readonly unknown[]): void {
  const sizes = bodies.map((body) => new TextEncoder().encode(JSON.stringify(body)).length);
  const allBytes = sizes.reduce((sum, bytes) => sum + bytes, 0);
  const longest = Math.max(...sizes);
  if (longest > MESSAGE_BYTES_MAX) {
    report("message", `a queue message has ${longest} bytes, at most ${MESSAGE_BYTES_MAX} are taken`);
  }
  if (allBytes > BATCH_BYTES_MAX || bodies.length > BATCH_MESSAGES_MAX) {
    report("message", `a batch of ${bodies.length} messages has ${allBytes} bytes`);
  }
}

/** Holds one of the invocation's connections until the answer's headers are there. */
async function counted<T>(what: string, send: () => Promise<T>): Promise<T> {
  const invocation = current.getStore();
  if (invocation === undefined) {
    report("untracked", `${what} outside every invocation that this instrumentation knows`);
    return send();
  }
  invocation.waiting += 1;
  if (invocation.waiting > CONNECTIONS_MAX) {
    report(
      "connections",
      `${invocation.waiting} connections of one invocation (${invocation.name}) wait for response headers, at most ${CONNECTIONS_MAX} may`,
    );
  }
  try {
    return await send();
  } finally {
    invocation.waiting -= 1;
  }
}

function checkObjectBody({ name }: Invocation, input: RequestInfo | URL, init?: RequestInit): void {
  const body: unknown = init?.body ?? (input instanceof Request ? input.body : null);
  if (body === null) {
    return;
  }
  const declared = new Headers(init?.headers).get("content-length");
  const bytes = sizeOf(body) ?? (declared === null ? null : Number(declared));
  if (bytes === null || bytes > OBJECT_BODY_BYTES_MAX) {
    report(
      "object body",
      `an object (${name}) sends a body of ${bytes ?? "an unknown number of"} bytes, at most ${OBJECT_BODY_BYTES_MAX} are sure to pass`,
    );
  }
}

/** Null: nobody can say. */
function sizeOf(body: unknown): number | null {
  if (typeof body === "string" || body instanceof URLSearchParams) {
    return new TextEncoder().encode(String(body)).length;
  }
  if (body instanceof ArrayBuffer || ArrayBuffer.isView(body)) {
    return body.byteLength;
  }
  return body instanceof Blob ? body.size : null;
}

function report(limit: LimitName, detail: string): void {
  write({ [LOG_KEY]: "violation", limit, detail });
}

function write(line: LimitLine): void {
  console.log(JSON.stringify(line));
}

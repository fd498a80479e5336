/** What the tests of the registry client share: a gate that notes, a client for a loopback host, a server of few lines. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createRegistry, type RegistryOptions } from "../../src/registry/client.ts";
import { ConnectionBudget } from "../../src/registry/connection-budget.ts";
import type { HostSettings, Registry } from "../../src/registry/contract.ts";
import type { Credential } from "../../src/registry/credentials.ts";
import { CopyError, type ErrorDetail } from "../../src/registry/errors.ts";
import type { AuthorizationRequest, Gate, Outcome, RequestKind } from "../../src/registry/gate.ts";
import type { Refusal } from "../../src/registry/reach.ts";
import { TokenSource } from "../../src/registry/token.ts";
import type { Fetch, RequestLine } from "../../src/registry/wire.ts";
import { listen, shut } from "../support/loopback.ts";
import { settingsFor } from "./settings.ts";

/** Grants every slot at once, and notes what was asked and what became of it. */
export class NotingGate implements Gate {
  readonly acquired: { kind: RequestKind; bytes: number }[] = [];
  readonly outcomes: Outcome[] = [];
  readonly asked: AuthorizationRequest[] = [];
  readonly #tokens: Pick<TokenSource, "authorize"> | null;
  held = 0;

  constructor(tokens: Pick<TokenSource, "authorize"> | null = null) {
    this.#tokens = tokens;
  }

  async acquire(kind: RequestKind, bytes: number): ReturnType<Gate["acquire"]> {
    this.acquired.push({ kind, bytes });
    this.held++;
    return {
      release: (outcome) => {
        this.held--;
        this.outcomes.push(outcome);
      },
    };
  }

  async authorize(request: AuthorizationRequest): ReturnType<Gate["authorize"]> {
    this.asked.push(request);
    return (await this.#tokens?.authorize(request)) ?? null;
  }
}

export interface Bench {
  registry: Registry;
  gate: NotingGate;
  tokens: TokenSource;
  lines: RequestLine[];
}

export interface BenchOptions {
  settings?: Partial<HostSettings>;
  credential?: Credential;
  now?: () => number;
  client?: Partial<RegistryOptions>;
  fetch?: Fetch;
  /** What must not be called; without it everything may be. */
  refusalOf?: Refusal;
}

/** A client of the host, with a token source of its own. */
export function clientOf(host: string, options: BenchOptions = {}): Bench {
  const settings = settingsFor(host, options.settings);
  const now = options.now ?? Date.now;
  const lines: RequestLine[] = [];
  const common = {
    settings,
    fetch: options.fetch ?? fetch,
    now,
    log: (line: RequestLine) => void lines.push(line),
    refusalOf: options.refusalOf ?? (() => null),
  };
  const tokens = new TokenSource({ ...common, side: "target", credentials: () => options.credential ?? null });
  const gate = new NotingGate(tokens);
  const registry = createRegistry({
    ...common,
    side: "source",
    gate,
    budget: new ConnectionBudget(),
    ...options.client,
  });
  return { registry, gate, tokens, lines };
}

export interface Seen {
  method: string;
  url: string;
  headers: IncomingMessage["headers"];
  body: string;
}

export interface SmallServer extends AsyncDisposable {
  host: string;
  seen: Seen[];
}

/** A server on a free loopback port. Its handler gets each request with its body read. */
export async function serve(handler: (seen: Seen, response: ServerResponse) => void): Promise<SmallServer> {
  const seen: Seen[] = [];
  const server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on("data", (part: Buffer) => parts.push(part));
    request.on("error", () => {});
    request.on("end", () => {
      const body = Buffer.concat(parts).toString();
      const one = { method: request.method ?? "", url: request.url ?? "", headers: request.headers, body };
      seen.push(one);
      handler(one, response);
    });
  });
  const port = await listen(server);
  return {
    host: `127.0.0.1:${port}`,
    seen,
    [Symbol.asyncDispose]: () => shut(server),
  };
}

/** Answers with JSON. */
export function json(response: ServerResponse, status: number, value: unknown, headers: Record<string, string> = {}) {
  response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(value));
}

/** The detail of the CopyError the promise ends with; fails when it ends otherwise. */
export async function refusal(promise: Promise<unknown>): Promise<ErrorDetail> {
  try {
    await promise;
  } catch (thrown) {
    if (thrown instanceof CopyError) {
      return thrown.detail;
    }
    throw thrown;
  }
  throw new Error("expected a CopyError, but there was no error");
}

export const never = new AbortController().signal;

export function streamOf(text: string): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(controller) {
      controller.enqueue(new TextEncoder().encode(text));
      controller.close();
    },
  });
}

/**
 * A cloud on loopback: requests to the cloud's own https addresses arrive at one server, with the host they were meant
 * for. What each cloud checks stands in its test; how AWS checks a signature stands here.
 */
import { createHash, createHmac } from "node:crypto";
import type { ServerResponse } from "node:http";
import type { EndpointOptions } from "../../../src/registry/endpoint.ts";
import { createWire, type Fetch, type RequestLine } from "../../../src/registry/wire.ts";
import { serve, type Seen } from "../support.ts";

/** A request with the host it was meant for. */
export interface Asked extends Seen {
  host: string;
  path: string;
}

export interface Cloud extends AsyncDisposable {
  /** Whatever is asked, in order. */
  asked: Asked[];
  /** Log lines of the requests. */
  lines: RequestLine[];
  clock: { ms: number };
  fetch: Fetch;
  options: EndpointOptions;
}

export const NOW_MS = Date.parse("2026-03-01T12:00:00Z");

/** @param registry The host that a credential is asked for. */
export async function startCloud(
  registry: string,
  answer: (asked: Asked, response: ServerResponse) => unknown,
): Promise<Cloud> {
  const asked: Asked[] = [];
  const lines: RequestLine[] = [];
  const clock = { ms: NOW_MS };
  const server = await serve((seen, response) => {
    const host = String(seen.headers["x-meant-for"]);
    const one = { ...seen, host, path: new URL(seen.url, `https://${host}`).pathname };
    asked.push(one);
    Promise.resolve(answer(one, response)).catch((error: unknown) => {
      response.writeHead(400).end(String(error instanceof Error ? error.message : error));
    });
  });
  const viaServer: Fetch = (address, init) => {
    const url = new URL(address);
    if (url.protocol !== "https:") {
      throw new Error(`${url.origin} is not https`);
    }
    const headers = { ...init.headers, "x-meant-for": url.host };
    return fetch(`http://${server.host}${url.pathname}${url.search}`, { ...init, headers });
  };
  const common = { side: "target" as const, host: registry, now: () => clock.ms };
  const wire = createWire({ ...common, refusalOf: () => null, fetch: viaServer, log: (line) => void lines.push(line) });
  return {
    asked,
    lines,
    clock,
    fetch: viaServer,
    options: { ...common, wire },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

export function formOf(asked: Asked | undefined): Record<string, string> {
  if (asked?.headers["content-type"] !== "application/x-www-form-urlencoded") {
    throw new Error(`a form was expected, not ${asked?.headers["content-type"]}`);
  }
  return Object.fromEntries(new URLSearchParams(asked.body));
}

/** AWS allows clocks to differ by so much. */
const SKEW_MS = 5 * 60_000;

/** Throws what AWS would say, unless the request is signed with the key (AWS: "Signature Version 4 signing process"). */
export function checkSignature(
  asked: Asked,
  expected: { id: string; secret: string; token?: string; region: string; service: string },
  nowMs: number,
): void {
  const { authorization = "" } = asked.headers;
  const parts = /^AWS4-HMAC-SHA256 Credential=([^,]+), ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$/.exec(
    authorization,
  );
  if (!parts) {
    throw new Error(`MissingAuthenticationToken: ${authorization.slice(0, 20)}`);
  }
  const [, credential = "", signedHeaders = "", signature] = parts;
  const datetime = String(asked.headers["x-amz-date"]);
  const scope = [datetime.slice(0, 8), expected.region, expected.service, "aws4_request"].join("/");
  if (credential !== `${expected.id}/${scope}`) {
    throw new Error(`InvalidSignatureException: credential should be scoped to ${scope}, not ${credential}`);
  }
  const atMs = Date.parse(datetime.replace(/^(....)(..)(..T..)(..)(..Z)$/, "$1-$2-$3:$4:$5"));
  if (!(Math.abs(atMs - nowMs) <= SKEW_MS)) {
    throw new Error(`InvalidSignatureException: Signature expired: ${datetime}`);
  }
  const names = signedHeaders.split(";");
  for (const needed of [
    "host",
    "x-amz-date",
    ...(asked.headers["x-amz-target"] === undefined ? [] : ["x-amz-target"]),
  ]) {
    if (!names.includes(needed)) {
      throw new Error(`InvalidSignatureException: ${needed} is not signed`);
    }
  }
  if ((asked.headers["x-amz-security-token"] ?? "") !== (expected.token ?? "")) {
    throw new Error("UnrecognizedClientException: The security token included in the request is invalid.");
  }
  const headers = names
    .map((name) => `${name}:${name === "host" ? asked.host : String(asked.headers[name])}\n`)
    .join("");
  const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");
  const canonical = [asked.method, asked.path, "", headers, signedHeaders, sha256(asked.body)].join("\n");
  const toSign = ["AWS4-HMAC-SHA256", datetime, scope, sha256(canonical)].join("\n");
  const key = scope
    .split("/")
    .reduce<string | Buffer>(
      (from, part) => createHmac("sha256", from).update(part).digest(),
      `AWS4${expected.secret}`,
    );
  if (createHmac("sha256", key).update(toSign).digest("hex") !== signature) {
    throw new Error("InvalidSignatureException: The request signature we calculated does not match.");
  }
}

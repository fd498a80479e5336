/** The client against a plain HTTP server that behaves as services and the lines to them do. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { afterEach, expect, test } from "vitest";
import { ServiceClient, ServiceError } from "../../src/cli/client.ts";
import type { CopyEvent } from "../../src/job/contract.ts";
import { listen, shut } from "../support/loopback.ts";
import { SUCCEEDED, view } from "./views.ts";

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

let server: Server;

afterEach(() => shut(server));

/** Answers the requests one after the other with `handlers`; the last one stays. */
async function serve(
  ...handlers: Handler[]
): Promise<{ client: ServiceClient; url: string; asked: IncomingMessage[] }> {
  const asked: IncomingMessage[] = [];
  server = createServer((request, response) => {
    asked.push(request);
    handlers[Math.min(asked.length, handlers.length) - 1]?.(request, response);
  });
  const port = await listen(server);
  const url = `http://127.0.0.1:${port}/`;
  return { client: new ServiceClient({ url, token: "secret" }), url, asked };
}

const json =
  (status: number, body: unknown): Handler =>
  (_request, response) =>
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));

function stream(text: string, cut: boolean): Handler {
  return (_request, response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write(text, () => (cut ? response.destroy() : response.end()));
  };
}

const RUNNING = `id: 1\nevent: state\ndata: ${JSON.stringify({ seq: 1, at: "", type: "state", data: view() })}\n\n`;
const WARNING = `id: 2\nevent: warning\ndata: ${JSON.stringify({ seq: 2, at: "", type: "warning", data: { message: "w" } })}\n\n`;
const DONE = `id: 3\nevent: state\ndata: ${JSON.stringify({ seq: 3, at: "", type: "state", data: SUCCEEDED })}\n\n`;

async function follow(client: ServiceClient): Promise<{ types: string[]; state: string }> {
  const events: CopyEvent[] = [];
  const end = await client.follow("cp_1", (event) => events.push(event), AbortSignal.timeout(10_000));
  return { types: events.map(({ seq, type }) => `${seq} ${type}`), state: end.state };
}

test("a copy is followed to its end with the token, and nothing more is asked", async () => {
  const { client, asked } = await serve(stream(RUNNING + WARNING + DONE, false));
  expect(await follow(client)).toEqual({ types: ["1 state", "2 warning", "3 state"], state: "succeeded" });
  expect(asked.map(({ url }) => url)).toEqual(["/v1/copies/cp_1/events"]);
  expect(asked[0]?.headers.authorization).toBe("Bearer secret");
});

test("a stream that is cut goes on after the last event", async () => {
  const { client, asked } = await serve(stream(RUNNING + WARNING, true), json(200, view()), stream(DONE, false));
  expect(await follow(client)).toEqual({ types: ["1 state", "2 warning", "3 state"], state: "succeeded" });
  expect(asked[2]?.headers["last-event-id"]).toBe("2");
});

test("streams that are each cut after an event are not opened as fast as the line allows", async () => {
  const { client, asked } = await serve((request, response) => {
    (request.url?.endsWith("/events") === true ? stream(WARNING, true) : json(200, view()))(request, response);
  });
  await expect(client.follow("cp_1", () => undefined, AbortSignal.timeout(1_000))).rejects.toThrow(/timeout/);
  expect(asked.length).toBeLessThan(20);
});

test("a service that is being restarted is asked again", async () => {
  const { client } = await serve(
    json(503, { detail: "not now" }),
    (request) => request.socket.destroy(),
    stream(DONE, false),
  );
  expect(await follow(client)).toMatchObject({ state: "succeeded" });
});

test("so is one that is asked for the end of a group", async () => {
  const group = { ...view({ id: "cg_1", state: "succeeded" }), copies: [] };
  const { client } = await serve(
    (request) => request.socket.destroy(),
    json(503, { detail: "not now" }),
    json(200, group),
  );
  expect(await client.group("cg_1", 0, AbortSignal.timeout(10_000))).toMatchObject({ state: "succeeded" });
});

const TAG = { source: "t", target: "t", digest: null, oldDigest: null, state: "copied", error: null, reason: null };

test.each<[string, Handler]>([
  ["is cut", (_request, response) => response.writeHead(200).write('{"tags": [', () => response.destroy())],
  ["is none", json(200, { hello: "world" })],
])("a page of tags that %s is a failure, not the end of the list", async (_, page) => {
  const { client } = await serve(json(200, { tags: [TAG], next: "1" }), page);
  await expect(client.tags("cp_1", AbortSignal.timeout(5_000))).rejects.toBeInstanceOf(ServiceError);
});

test("where streams bring nothing, the end is waited for instead", async () => {
  const { client, asked } = await serve((request, response) => {
    const url = request.url ?? "";
    if (url.endsWith("/events")) {
      stream(": nothing\n\n", false)(request, response);
    } else {
      json(200, url.includes("wait=0") ? view() : SUCCEEDED)(request, response);
    }
  });
  expect(await follow(client)).toEqual({ types: [], state: "succeeded" });
  expect(asked.at(-1)?.url).toBe("/v1/copies/cp_1?wait=20");
});

test("where streams brought nothing, one is tried again after some questions", async () => {
  let streams = 0;
  const { client, asked } = await serve((request, response) => {
    if (request.url?.endsWith("/events") === true) {
      streams += 1;
      stream(streams <= 4 ? ": nothing\n\n" : RUNNING + DONE, false)(request, response);
    } else {
      json(200, view())(request, response);
    }
  });
  expect(await follow(client)).toEqual({ types: ["1 state", "3 state"], state: "succeeded" });
  // Each tried again costs the copy's followers as much as a question: not after each of them.
  expect(asked.filter(({ url }) => url?.endsWith("wait=20"))).toHaveLength(6);
});

test("events of types to come are passed over", async () => {
  const { client } = await serve(stream(`data: {"new": true}\n\n${DONE}`, false));
  expect(await follow(client)).toEqual({ types: ["3 state"], state: "succeeded" });
});

test("a refusal comes as the problem it is, at once", async () => {
  const problem = { type: "urn:x", title: "No", status: 401, detail: "Give a token.", errors: [] };
  const { client, asked } = await serve(json(401, problem));
  const failure = await follow(client).catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(ServiceError);
  expect(failure).toMatchObject({ problem });
  expect(asked).toHaveLength(1);
});

test("an answer that is no problem is told with its status", async () => {
  const { client } = await serve((_request, response) => response.writeHead(403).end("<html>Forbidden</html>"));
  await expect(client.create({ source: "a", target: "b" }, AbortSignal.timeout(5_000))).rejects.toMatchObject({
    problem: { status: 403, detail: expect.stringContaining("status 403") },
  });
});

test("an answer that is no problem names the address that gave it", async () => {
  const { client } = await serve((_request, response) => response.writeHead(404).end("404 page not found"));
  await expect(client.create({ source: "a", target: "b" }, AbortSignal.timeout(5_000))).rejects.toThrow(
    /127\.0\.0\.1:\d+ .*status 404.*check/,
  );
});

test("a service that wants a token where there is none is told with the variable to set", async () => {
  const problem = { type: "urn:x", title: "No", status: 401, detail: "Send the header Authorization: Bearer TOKEN." };
  const { url } = await serve(json(401, problem));
  const client = new ServiceClient({ url, token: null });
  await expect(client.probe(AbortSignal.timeout(5_000))).rejects.toThrow(/DRAYAGE_TOKEN/);
});

test("a service in plain HTTP that is asked in TLS is told in words", async () => {
  const { url } = await serve(json(200, {}));
  const client = new ServiceClient({ url: url.replace("http:", "https:"), token: "t" });
  await expect(client.probe(AbortSignal.timeout(5_000))).rejects.toThrow(/does not speak TLS; try http:/);
});

test("a service that redirects is told in words", async () => {
  const { client } = await serve((_request, response) =>
    response.writeHead(301, { location: "https://service.example.com/" }).end(),
  );
  await expect(client.probe(AbortSignal.timeout(5_000))).rejects.toThrow(/redirects elsewhere.*give the address/);
});

test("what is not this service is said not to be", async () => {
  const { client } = await serve(json(200, { hello: "world" }));
  await expect(client.create({ source: "a", target: "b" }, AbortSignal.timeout(5_000))).rejects.toThrow(
    /is not drayage/,
  );
});

test("a service that is not there is named with the reason", async () => {
  const { client } = await serve(json(200, {}));
  await shut(server);
  await expect(client.create({ source: "a", target: "b" }, AbortSignal.timeout(5_000))).rejects.toThrow(
    /127\.0\.0\.1.*ECONNREFUSED/,
  );
});

test("an abort ends the waiting with its own reason", async () => {
  const { client } = await serve((_request, response) => response.writeHead(200).flushHeaders());
  const controller = new AbortController();
  const following = client.follow("cp_1", () => undefined, controller.signal);
  controller.abort(new Error("enough"));
  await expect(following).rejects.toThrow("enough");
});

import { createExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, inject, test } from "vitest";
import { handleFetch } from "../../src/api/router.ts";
import type { CopyView } from "../../src/job/contract.ts";
import { api, requestFor, type Ask } from "./client.worker.ts";

/** Two images that do not exist, in registries that do: such a copy is accepted and soon fails by itself. */
const source = `${inject("registries").source}/nothing/here:1`;
const target = `${inject("registries").target}/nothing/here:1`;

interface ListBody {
  copies: { id: string; state: string; source: { reference: string } }[];
  next: string | null;
}

async function made(ask: Ask = {}, body: object = { source, target }): Promise<{ answer: Response; copy: CopyView }> {
  const answer = await api("/v1/copies", { body, ...ask });
  return { answer, copy: await answer.json<CopyView>() };
}

async function errorsOf(answer: Response): Promise<Record<string, string>> {
  const { errors = [] } = await answer.json<{ errors?: { field: string; message: string }[] }>();
  return Object.fromEntries(errors.map(({ field, message }) => [field, message]));
}

async function listed(query: string): Promise<{ answer: Response; body: ListBody }> {
  const answer = await api(`/v1/copies${query}`);
  return { answer, body: await answer.json<ListBody>() };
}

describe("POST /v1/copies", () => {
  test("accepts a copy and says where it is", async () => {
    const { answer, copy } = await made();
    expect(answer.status).toBe(202);
    expect(copy.id).toMatch(/^cp_[0-9a-v]{26}$/);
    expect(answer.headers.get("location")).toBe(`/v1/copies/${copy.id}`);
    expect(copy.source.reference).toBe(source);
    expect(copy.target.reference).toBe(target);
  });

  test.each<[string, object, Record<string, string>]>([
    ["fields missing", {}, { source: "is missing; give a reference", target: "is missing; give a reference" }],
    ["wrong types", { source: 1, target: null }, { source: "must be text", target: "must be text" }],
    ["empty text", { source: "", target }, { source: "is empty" }],
    [
      "unknown fields",
      { source, target, form: 1, tagret: 2 },
      { form: "unknown field", tagret: "did you mean target?" },
    ],
    ["not an object", [], { "": "must be a JSON object with source and target" }],
    [
      "malformed references",
      { source: "ghcr.io/UPPER/x", target: "a b" },
      { source: "upper case", target: "white space" },
    ],
    ["a scheme", { source: "https://ghcr.io/a/b", target }, { source: "no scheme" }],
    ["onto itself", { source, target: source }, { target: "it is the source itself" }],
    [
      "onto itself in another spelling",
      { source: "alpine:latest", target: "index.docker.io/library/alpine" },
      { target: "it is the source itself" },
    ],
    [
      "another digest",
      { source: `ghcr.io/a/b@sha256:${"a".repeat(64)}`, target: `ghcr.io/c/d@sha256:${"b".repeat(64)}` },
      { target: "its digest is not the source's" },
    ],
  ])("%s: 422 with field and fix, and no copy", async (_, body, expected) => {
    const before = await listed("?limit=1");
    const answer = await api("/v1/copies", { body });
    expect(answer.status).toBe(422);
    const errors = await errorsOf(answer);
    expect(Object.keys(errors).sort()).toEqual(Object.keys(expected).sort());
    for (const [field, message] of Object.entries(expected)) {
      expect(errors[field]).toContain(message);
    }
    expect((await listed("?limit=1")).body).toEqual(before.body);
  });

  test("a tag may be moved to a digest of its own repository", async () => {
    const digest = `sha256:${"a".repeat(64)}`;
    const { answer } = await made({}, { source: `${source}@${digest}`, target: source });
    expect(answer.status).toBe(202);
  });

  test.each([
    ["malformed JSON", 400, { body: "{" }],
    ["no JSON by its type", 415, { body: "{}", headers: { "content-type": "text/plain" } }],
    ["64 KiB and a byte", 413, { body: " ".repeat(64 * 1024 + 1) }],
  ])("%s: %i", async (_, status, ask) => {
    const answer = await api("/v1/copies", ask);
    expect(answer.status).toBe(status);
    expect(answer.headers.get("content-type")).toBe("application/problem+json");
  });

  test("a body of exactly 64 KiB is read", async () => {
    const body = JSON.stringify({ source, target }).padEnd(64 * 1024);
    expect((await api("/v1/copies", { body })).status).toBe(202);
  });

  test("a body without a length is read to the limit and no further", async () => {
    let pieces = 0;
    const endless = new ReadableStream<Uint8Array>({
      pull(controller) {
        pieces += 1;
        controller.enqueue(new Uint8Array(16 * 1024));
      },
    });
    const answer = await handleFetch(requestFor("/v1/copies", { stream: endless }), env, createExecutionContext());
    expect(answer.status).toBe(413);
    expect(pieces).toBeLessThan(10);
  });

  test("UTF-8 that is none: 400", async () => {
    const stream = new Blob([new Uint8Array([0x7b, 0xff, 0x7d])]).stream();
    expect((await handleFetch(requestFor("/v1/copies", { stream }), env, createExecutionContext())).status).toBe(400);
  });

  test("a deployed service refuses private addresses on both sides", async () => {
    const body = { source: "localhost:5000/a/b:1", target: "10.0.0.8/a/b:1" };
    const answer = await handleFetch(
      requestFor("/v1/copies", { body }),
      { ...env, LOCAL: "" },
      createExecutionContext(),
    );
    expect(answer.status).toBe(422);
    expect(await errorsOf(answer)).toEqual({
      source: "the host localhost:5000 is this machine itself, which a deployed service never calls",
      target: "the host 10.0.0.8 is an IP address; use the registry's public name",
    });
  });
});

describe("a repository as source", () => {
  const repository = source.slice(0, -":1".length);
  const mirror = `${target.slice(0, -":1".length)}-mirror`;

  test("is a copy of its tags, which fails here since there is no such repository", async () => {
    const { answer, copy } = await made({}, { source: repository, target: mirror, tags: { semver: ">=1" } });
    expect(answer.status).toBe(202);
    expect(copy).toMatchObject({ source: { reference: repository }, target: { reference: mirror }, dryRun: false });
    const ended = await api(`/v1/copies/${copy.id}?wait=20`);
    expect(await ended.json()).toMatchObject({ state: "failed", error: { code: "not_found", operation: "list tags" } });
    const page = await api(`/v1/copies/${copy.id}/tags`);
    expect(await page.json()).toEqual({ tags: [], next: null });
  });

  test("a duration is the same request whenever it is sent, another duration is not", async () => {
    const ask = { headers: { "idempotency-key": "duration" } };
    const body = { source: repository, target: mirror, tags: { newer_than: "30d" } };
    const first = await made(ask, body);
    const again = await made(ask, body);
    expect(again.copy.id).toBe(first.copy.id);
    const other = await api("/v1/copies", { ...ask, body: { ...body, tags: { newer_than: "31d" } } });
    expect(other.status).toBe(409);
  });

  test("a single copy has one name to show, in pages like any other", async () => {
    const { copy } = await made();
    await api(`/v1/copies/${copy.id}?wait=20`);
    const page = await api(`/v1/copies/${copy.id}/tags?state=failed&limit=1`);
    expect(await page.json()).toMatchObject({ tags: [{ source: "1", target: "1", state: "failed" }], next: null });
    expect((await api(`/v1/copies/${copy.id}/tags?state=lost`)).status).toBe(422);
    expect((await api("/v1/copies/cp_00000000000000000000000000/tags")).status).toBe(404);
  });
});

describe("Idempotency-Key", () => {
  test("the same request again answers the first copy", async () => {
    const headers = { "idempotency-key": "once" };
    const first = await made({ headers });
    const again = await made({ headers });
    expect([first.answer.status, again.answer.status]).toEqual([202, 200]);
    expect(again.copy.id).toBe(first.copy.id);
    expect(again.answer.headers.get("location")).toBe(`/v1/copies/${first.copy.id}`);
  });

  test("at the same moment, too", async () => {
    const headers = { "idempotency-key": "at the same moment" };
    const all = await Promise.all(Array.from({ length: 5 }, () => made({ headers })));
    expect(new Set(all.map(({ copy }) => copy.id)).size).toBe(1);
    expect(all.map(({ answer }) => answer.status).filter((status) => status === 202)).toHaveLength(1);
  });

  test("another spelling of the same request is the same request", async () => {
    const headers = { "idempotency-key": "spelling" };
    const untagged = target.slice(0, -":1".length);
    const first = await made({ headers }, { source, target: untagged });
    const again = await made({ headers }, { source, target: `${untagged}:latest` });
    expect(again.copy.id).toBe(first.copy.id);
  });

  test("another request: 409", async () => {
    const headers = { "idempotency-key": "two" };
    const first = await made({ headers });
    const other = await api("/v1/copies", { headers, body: { source, target: `${target}-other` } });
    expect(other.status).toBe(409);
    expect(await other.text()).toContain(first.copy.id);
  });

  test.each([
    ["too long", "x".repeat(256)],
    ["not printable", "a\tb"],
  ])("%s: 422", async (_, key) => {
    const answer = await api("/v1/copies", { headers: { "idempotency-key": key }, body: { source, target } });
    expect(answer.status).toBe(422);
    expect(Object.keys(await errorsOf(answer))).toEqual(["idempotency-key"]);
  });
});

describe("one copy", () => {
  test("is seen, and its end waited for", async () => {
    const { copy } = await made();
    const answer = await api(`/v1/copies/${copy.id}?wait=20`);
    expect(answer.status).toBe(200);
    const seen = await answer.json<CopyView>();
    expect(seen).toMatchObject({ id: copy.id, state: "failed", error: { code: "not_found", side: "source" } });
  });

  test.each(["", "x", "-1", "1.5", "61", "1&wait=2"])("wait=%s is refused", async (wait) => {
    const answer = await api(`/v1/copies/cp_${"0".repeat(26)}?wait=${wait}`);
    expect(answer.status).toBe(422);
    expect(await errorsOf(answer)).toEqual({ wait: "must be a whole number from 0 to 60" });
  });

  test("an unknown parameter is refused by name", async () => {
    const answer = await api(`/v1/copies/cp_${"0".repeat(26)}?wiat=1`);
    expect(answer.status).toBe(422);
    expect(await errorsOf(answer)).toEqual({ wiat: "unknown query parameter; did you mean wait?" });
  });

  test.each([`cp_${"0".repeat(26)}`, "cp_", "x", "%20"])("there is no copy %s: 404", async (id) => {
    expect((await api(`/v1/copies/${id}`)).status).toBe(404);
    expect((await api(`/v1/copies/${id}`, { method: "DELETE" })).status).toBe(404);
    expect((await api(`/v1/copies/${id}/events`)).status).toBe(404);
  });

  test("one that has ended stays as it is when cancelled", async () => {
    const { copy } = await made();
    const ended = await (await api(`/v1/copies/${copy.id}?wait=20`)).json<CopyView>();
    const answer = await api(`/v1/copies/${copy.id}`, { method: "DELETE" });
    expect(answer.status).toBe(200);
    expect(await answer.json<CopyView>()).toEqual(ended);
  });

  test("its events can be read from the beginning and from after any of them", async () => {
    const { copy } = await made();
    await api(`/v1/copies/${copy.id}?wait=20`);
    const answer = await api(`/v1/copies/${copy.id}/events`);
    expect(answer.headers.get("content-type")).toBe("text/event-stream");
    expect(answer.headers.get("cache-control")).toBe("no-store");
    const ids = idsIn(await answer.text());
    expect(ids.length).toBeGreaterThan(1);
    const first = ids[0] ?? "";
    const rest = await api(`/v1/copies/${copy.id}/events?after=${first}`);
    expect(idsIn(await rest.text())).toEqual(ids.slice(1));
    const byHeader = await api(`/v1/copies/${copy.id}/events?after=0`, { headers: { "last-event-id": first } });
    expect(idsIn(await byHeader.text())).toEqual(ids.slice(1));
  });

  test("events after something that is no number: 422", async () => {
    const { copy } = await made();
    expect((await api(`/v1/copies/${copy.id}/events?after=x`)).status).toBe(422);
    const answer = await api(`/v1/copies/${copy.id}/events`, { headers: { "last-event-id": "x" } });
    expect(Object.keys(await errorsOf(answer))).toEqual(["last-event-id"]);
  });
});

describe("GET /v1/copies", () => {
  test("pages newest first, by cursor and by link", async () => {
    const ids: string[] = [];
    for (let count = 0; count < 3; count += 1) {
      ids.unshift((await made()).copy.id);
    }
    const first = await listed("?limit=2");
    expect(first.body.copies.map(({ id }) => id)).toEqual(ids.slice(0, 2));
    expect(first.body.copies[0]?.source.reference).toBe(source);
    const link = /^<([^>]+)>; rel="next"$/.exec(first.answer.headers.get("link") ?? "")?.[1] ?? "";
    expect(new URL(link, "https://x").searchParams.get("cursor")).toBe(first.body.next);
    const second = await (await api(link)).json<ListBody>();
    expect(second.copies[0]?.id).toBe(ids[2]);
  });

  test("shows the state of each, and only one state when asked", async () => {
    const { copy } = await made();
    await api(`/v1/copies/${copy.id}?wait=20`);
    const failed = await listed("?state=failed&limit=100");
    expect(failed.body.copies.map(({ id }) => id)).toContain(copy.id);
    expect(new Set(failed.body.copies.map(({ state }) => state))).toEqual(new Set(["failed"]));
    expect((await listed("?state=succeeded")).body).toEqual({ copies: [], next: null });
  });

  test.each([
    ["limit=0", "limit"],
    ["limit=101", "limit"],
    ["state=done", "state"],
    ["cursor=x", "cursor"],
    ["status=failed", "status"],
  ])("?%s: 422", async (query, field) => {
    const answer = await api(`/v1/copies?${query}`);
    expect(answer.status).toBe(422);
    expect(Object.keys(await errorsOf(answer))).toEqual([field]);
  });
});

function idsIn(events: string): string[] {
  return [...events.matchAll(/^id: ?(\d+)$/gm)].map(([, id]) => id ?? "");
}

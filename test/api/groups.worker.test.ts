/** `/v1/copies` with several targets: what is taken, who may, and what is shown. */
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, inject, test } from "vitest";
import { ROOT } from "../../src/access/contract.ts";
import { CopiesRequestSchema } from "../../src/api/copy-request-schema.ts";
import { copyRequestsOf, fingerprintOfAll } from "../../src/api/copy-request.ts";
import { copyIdIn, ID_RANDOM_BYTES, newGroupId } from "../../src/copy/copy-id.ts";
import { KEPT_MS } from "../../src/job/contract.ts";
import type { GroupView } from "../../src/job/group/contract.ts";
import { INDEX_NAME } from "../../src/ledger/contract.ts";
import { pushImage } from "../job/push.ts";
import { api, type Ask } from "./client.worker.ts";

const { source: sourceHost, target: targetHost } = inject("registries");

/** An image that does not exist, in registries that do: such copies are accepted and soon fail by themselves. */
const source = `${sourceHost}/nothing/here:1`;
const targets = ["a", "b", "c"].map((name) => `${targetHost}/nothing/${name}:1`);

async function made(body: object = { source, targets }, ask: Ask = {}) {
  const answer = await api("/v1/copies", { body, ...ask });
  return { answer, group: await answer.json<GroupView>() };
}

async function seen(id: string, ask: Ask = {}): Promise<GroupView> {
  return (await api(`/v1/copies/${id}?wait=20`, ask)).json();
}

async function keyWith(scopes: object, limits: object = {}): Promise<string> {
  const actions = ["copy", "read", "cancel"];
  const answer = await api("/v1/keys", {
    body: { name: "test", scopes: { sources: [`${sourceHost}/**`], actions, ...scopes }, limits },
  });
  const { key } = await answer.json<{ key: string }>();
  return key;
}

interface Listed {
  copies: { id: string; group: string | null; target: { reference: string } }[];
}

async function errorsOf(answer: Response): Promise<Record<string, string>> {
  const { errors = [] } = await answer.json<{ errors?: { field: string; message: string }[] }>();
  return Object.fromEntries(errors.map(({ field, message }) => [field, message]));
}

describe("a request with several targets", () => {
  test("is a group, seen and waited for by its own id, and each copy by its own", async () => {
    const repository = crypto.randomUUID();
    const { digest } = await pushImage(sourceHost, repository, [100], "v1");
    const wanted = ["a", "b", "c"].map((name) => `${targetHost}/${repository}/${name}:v1`);
    const { answer, group } = await made({ source: `${sourceHost}/${repository}:v1`, targets: wanted });
    expect(answer.status).toBe(202);
    expect(group.id).toMatch(/^cg_[0-9a-v]{26}$/);
    expect(answer.headers.get("location")).toBe(`/v1/copies/${group.id}`);
    expect(group.copies.map((copy) => copy.target.reference)).toEqual(wanted);
    const view = await seen(group.id);
    expect(view).toMatchObject({ state: "succeeded", source: { digest }, asked: { by: "root" }, error: null });
    for (const copy of view.copies) {
      const own = await (await api(`/v1/copies/${copy.id}`)).json();
      expect(own).toMatchObject({ id: copy.id, group: group.id, state: "succeeded", target: { digest } });
    }
  });

  test("is told of in events that end with it", async () => {
    const { group } = await made();
    const text = await (await api(`/v1/copies/${group.id}/events`)).text();
    expect(text).toContain("event: copy\n");
    expect(text.split("\n\n").at(-2)).toMatch(/event: state\ndata: .*"state":"failed"/);
  });

  test("has its copies on the list, the last target first, each with the group", async () => {
    const { group } = await made();
    const { copies } = await (await api("/v1/copies?limit=3")).json<Listed>();
    expect(copies.map(({ id }) => id)).toEqual(group.copies.map(({ id }) => id).reverse());
    expect(copies.map((copy) => copy.group)).toEqual([group.id, group.id, group.id]);
  });

  test("is cancelled as a whole", async () => {
    const { group } = await made();
    const answer = await api(`/v1/copies/${group.id}`, { method: "DELETE" });
    expect(answer.status).toBe(200);
    const { copies } = await answer.json<GroupView>();
    expect(copies.every(({ state }) => state === "cancelled" || state === "failed")).toBe(true);
  });

  test("has no tags of its own, and says where they are", async () => {
    const { group } = await made();
    const answer = await api(`/v1/copies/${group.id}/tags`);
    expect(answer.status).toBe(404);
    expect(await answer.text()).toContain("by its own id");
    expect((await api(`/v1/copies/${group.copies[0]?.id ?? ""}/tags`)).status).toBe(200);
  });

  test("sent again with the same key is the same group; with other targets it is refused", async () => {
    const headers = { "idempotency-key": crypto.randomUUID() };
    const first = await made({ source, targets }, { headers });
    const again = await made({ source, targets }, { headers });
    expect([first.answer.status, again.answer.status]).toEqual([202, 200]);
    expect(again.group.id).toBe(first.group.id);
    const fewer = await api("/v1/copies", { body: { source, targets: targets.slice(1) }, headers });
    expect(fewer.status).toBe(409);
  });

  test("cut off before it could start is started by being sent again, with the copies that are on the list", async () => {
    const id = newGroupId(Date.now(), crypto.getRandomValues(new Uint8Array(ID_RANDOM_BYTES)));
    const key = crypto.randomUUID();
    const requests = copyRequestsOf(CopiesRequestSchema.parse({ source, targets }), { LOCAL: "true" }, Date.now());
    await env.INDEX.getByName(INDEX_NAME).registerGroup({
      id,
      source,
      copies: targets.map((target, place) => ({ id: copyIdIn(id, place), target })),
      key,
      fingerprint: await fingerprintOfAll(requests),
      hosts: [],
      by: ROOT,
    });
    expect((await api(`/v1/copies/${id}`)).status).toBe(404);
    const { answer, group } = await made({ source, targets }, { headers: { "idempotency-key": key } });
    expect([answer.status, group.id]).toEqual([200, id]);
    expect((await seen(id)).state).toBe("failed");
    const listed = await env.INDEX.getByName(INDEX_NAME).findGroup(id);
    await expect
      .poll(async () => (await env.INDEX.getByName(INDEX_NAME).findGroup(id)).map(({ state }) => state))
      .toEqual(["failed", "failed", "failed"]);
    expect(listed.map((copy) => copy.id)).toEqual(group.copies.map((copy) => copy.id));
  });

  test("is put together from the records of its copies once its object is gone", async () => {
    const { group } = await made();
    const ended = await seen(group.id);
    await expect
      .poll(async () =>
        (await env.INDEX.getByName(INDEX_NAME).findGroup(group.id)).every(({ record }) => record !== null),
      )
      .toBe(true);
    await runInDurableObject(env.GROUPS.getByName(group.id), (_, { storage }) => {
      storage.sql.exec("UPDATE copy_group SET done_ms = done_ms - ?", KEPT_MS);
    });
    await runDurableObjectAlarm(env.GROUPS.getByName(group.id));
    const record = await seen(group.id);
    expect(record).toMatchObject({ state: "failed", error: ended.error, copies: ended.copies });
    const text = await (await api(`/v1/copies/${group.id}/events`)).text();
    expect(text).toMatch(/^id: 1\nevent: state\n/);
  });

  test("that nobody has made is not found", async () => {
    for (const method of ["GET", "DELETE"]) {
      expect((await api(`/v1/copies/cg_${"0".repeat(26)}`, { method })).status).toBe(404);
    }
    expect((await api(`/v1/copies/cg_${"0".repeat(26)}/events`)).status).toBe(404);
  });
});

describe("what is refused", () => {
  test.each<[string, object, Record<string, string>]>([
    ["target and targets", { source, target: targets[0], targets }, { targets: "beside target" }],
    ["neither", { source }, { target: "or a list targets" }],
    ["no list", { source, targets: targets[0] }, { targets: "must be a list" }],
    ["an empty list", { source, targets: [] }, { targets: "at least 2" }],
    ["a single one", { source, targets: [targets[0]] }, { targets: "given as target" }],
    [
      "too many",
      { source, targets: Array.from({ length: 17 }, (_, n) => `${targets[0]}${n}`) },
      { targets: "at most 16" },
    ],
    ["no text", { source, targets: [targets[0], 5] }, { "targets.1": "must be text" }],
    ["a malformed one", { source, targets: [targets[0], "a b"] }, { "targets.1": "white space" }],
    ["one twice", { source, targets: [...targets, targets[1]] }, { "targets.3": "the same as targets.1" }],
    [
      "one twice in another spelling",
      { source, targets: ["alpine", targets[0], "docker.io/library/alpine:latest"] },
      { "targets.2": "the same as targets.0" },
    ],
    ["the source itself", { source, targets: [targets[0], source] }, { "targets.1": "it is the source itself" }],
    [
      "what is wrong beside them, said once",
      {
        source: `${sourceHost}/nothing/here`,
        targets: targets.map((each) => each.slice(0, -2)),
        tags: { include: "(" },
      },
      { "tags.include.0": "" },
    ],
    [
      "a tag as target of a repository",
      { source: `${sourceHost}/nothing/here`, targets: [`${targetHost}/x`, `${targetHost}/y:1`] },
      { "targets.1": "names a single image" },
    ],
  ])("%s: 422 with the field named, and nothing is made", async (_, body, expected) => {
    const before = await (await api("/v1/copies?limit=1")).json<Listed>();
    const answer = await api("/v1/copies", { body });
    expect(answer.status).toBe(422);
    const errors = await errorsOf(answer);
    expect(Object.keys(errors)).toEqual(Object.keys(expected));
    for (const [field, message] of Object.entries(expected)) {
      expect(errors[field]).toContain(message);
    }
    expect((await (await api("/v1/copies?limit=1")).json<Listed>()).copies.map(({ id }) => id)).toEqual(
      before.copies.map(({ id }) => id),
    );
  });

  test("a target outside of a key's scopes, by its place", async () => {
    const token = await keyWith({ targets: [`${targetHost}/nothing/a`, `${targetHost}/nothing/b`] });
    const answer = await api("/v1/copies", { body: { source, targets }, token });
    expect(answer.status).toBe(403);
    expect(Object.keys(await errorsOf(answer))).toEqual(["targets.2"]);
    expect((await made({ source, targets: targets.slice(0, 2) }, { token })).answer.status).toBe(202);
  });

  test("more targets than a key may ever have copies at once", async () => {
    const token = await keyWith({ targets: [`${targetHost}/**`] }, { copiesAtOnce: 2 });
    const answer = await api("/v1/copies", { body: { source, targets }, token });
    expect(answer.status).toBe(422);
    expect(await errorsOf(answer)).toEqual({ targets: expect.stringContaining("this key may have 2 copies at once") });
  });

  test("a group that does not fit beside the copies under way: all of it", async () => {
    const token = await keyWith({ targets: [`${targetHost}/**`] }, { copiesPerHour: 4 });
    expect((await made({ source, targets }, { token })).answer.status).toBe(202);
    const second = await api("/v1/copies", { body: { source, targets: targets.slice(1) }, token });
    expect(second.status).toBe(429);
    expect((await made({ source, target: targets[0] }, { token })).answer.status).toBe(202);
  });
});

describe("a group of somebody else", () => {
  test("does not exist for those who may not see all of it", async () => {
    const { group } = await made();
    const some = await keyWith({ targets: [`${targetHost}/nothing/a`] });
    const all = await keyWith({ targets: [`${targetHost}/nothing/**`] });
    for (const [path, method] of [
      ["", "GET"],
      ["", "DELETE"],
      ["/events", "GET"],
      ["/tags", "GET"],
    ] as const) {
      expect((await api(`/v1/copies/${group.id}${path}`, { method, token: some })).status).toBe(404);
    }
    expect(await seen(group.id, { token: all })).toMatchObject({ id: group.id });
  });
});

import { listDurableObjectIds, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, inject, test } from "vitest";
import { ROOT } from "../../src/access/contract.ts";
import { newCopyId } from "../../src/copy/copy-id.ts";
import { type CopyView, KEPT_MS } from "../../src/job/contract.ts";
import { INDEX_NAME } from "../../src/ledger/contract.ts";
import { api } from "./client.worker.ts";

/** An image that does not exist, in a registry that does: such a copy is accepted and soon fails by itself. */
const source = `${inject("registries").source}/nothing/here:1`;
const target = `${inject("registries").target}/nothing/here:1`;

async function made(): Promise<CopyView> {
  return (await api("/v1/copies", { body: { source, target } })).json<CopyView>();
}

describe("the record of a copy", () => {
  /** Has the copy's object give back its storage, as a week after the copy's end. */
  async function cleared(id: string): Promise<void> {
    const stub = env.JOBS.getByName(id);
    await expect
      .poll(() => runInDurableObject(stub, (_, { storage }) => storage.getAlarm()))
      .toBeGreaterThan(Date.now() + KEPT_MS / 2);
    await runInDurableObject(stub, (_, { storage }) => {
      storage.sql.exec("UPDATE copy SET done_ms = done_ms - ?", KEPT_MS);
    });
    await runDurableObjectAlarm(stub);
    expect(await stub.view(0)).toBeNull();
  }

  test("says who asked, by what, and how it ended, when nothing else is left of it", async () => {
    const copy = await made();
    expect(copy.asked).toEqual({ by: "root", name: "root", how: "api", rule: null });
    const before = await (await api(`/v1/copies/${copy.id}?wait=20`)).json<CopyView>();
    expect(before.state).toBe("failed");
    await cleared(copy.id);
    const after = await (await api(`/v1/copies/${copy.id}`)).json<CopyView>();
    expect(after).toEqual({ ...before, times: after.times });
    expect(await (await api(`/v1/copies/${copy.id}`, { method: "DELETE" })).json()).toEqual(after);
    const events = await (await api(`/v1/copies/${copy.id}/events`)).text();
    expect(JSON.parse(/^data: (.*)$/m.exec(events)?.[1] ?? "")).toMatchObject({ type: "state", data: { id: copy.id } });
    const tags = await api(`/v1/copies/${copy.id}/tags`);
    expect([tags.status, (await tags.json<{ detail: string }>()).detail]).toEqual([
      404,
      expect.stringContaining("seven days"),
    ]);
  });

  test("is on the list", async () => {
    const copy = await made();
    const ended = await (await api(`/v1/copies/${copy.id}?wait=20`)).json<CopyView>();
    await cleared(copy.id);
    const { copies } = await (await api("/v1/copies?limit=1")).json<{ copies: unknown[] }>();
    expect(copies).toEqual([
      expect.objectContaining({ asked: ended.asked, bytes: ended.bytes, requests: ended.requests, error: ended.error }),
    ]);
  });

  test("of somebody else is as unknown as the copy", async () => {
    const copy = await made();
    await api(`/v1/copies/${copy.id}?wait=20`);
    await cleared(copy.id);
    const scopes = { sources: ["elsewhere.example/**"], targets: ["elsewhere.example/**"], actions: ["read"] };
    const { key } = await (await api("/v1/keys", { body: { name: "stranger", scopes } })).json<{ key: string }>();
    expect((await api(`/v1/copies/${copy.id}`, { token: key })).status).toBe(404);
  });

  test("of an old copy is found without its object, which would come back for being asked", async () => {
    const id = newCopyId(Date.now() - KEPT_MS - 3 * 24 * 3_600_000, new Uint8Array(10));
    const copy = await made();
    const ended = await (await api(`/v1/copies/${copy.id}?wait=20`)).json<CopyView>();
    const index = env.INDEX.getByName(INDEX_NAME);
    await index.register({ id, source, target, fingerprint: "", hosts: [], by: ROOT });
    await index.changed(id, "failed", { ...ended, id });
    expect(await (await api(`/v1/copies/${id}`)).json()).toEqual({ ...ended, id });
    expect(await (await api(`/v1/copies/${id}/events`)).text()).toContain("event: state");
    expect((await api(`/v1/copies/${id}/tags`)).status).toBe(404);
    const objects = await listDurableObjectIds(env.JOBS);
    expect(objects.some((object) => object.equals(env.JOBS.idFromName(id)))).toBe(false);
  });

  test.each(["", "/events", "/tags"])("is looked for alone where not even that is left: %s", async (part) => {
    const id = newCopyId(Date.now() - KEPT_MS - 3 * 24 * 3_600_000, new Uint8Array(10).fill(7));
    expect((await api(`/v1/copies/${id}${part}`)).status).toBe(404);
    const objects = await listDurableObjectIds(env.JOBS);
    expect(objects.some((object) => object.equals(env.JOBS.idFromName(id)))).toBe(false);
  });
});

/** What a mount may not be used for: to take a blob out of a repository that the copy's principal may not read. */
import { describe, expect, inject, test } from "vitest";
import type { CopyView } from "../../src/job/contract.ts";
import { MANIFEST_TYPE, noise, pushBlob, pushManifest } from "../job/push.ts";
import { api } from "./client.worker.ts";

const { source, target } = inject("registries");

async function copyOf(from: string, to: string, token?: string): Promise<CopyView> {
  const body = { source: `${source}/${from}:1`, target: `${target}/${to}:1` };
  const made = await api("/v1/copies", { body, ...(token === undefined ? {} : { token }) });
  expect(made.status).toBe(202);
  const { id } = await made.json<CopyView>();
  return (await api(`/v1/copies/${id}?wait=20`)).json();
}

async function keyFor(sources: string[]): Promise<string> {
  const scopes = { sources, targets: [`${target}/acme/**`], actions: ["copy", "read"] };
  const answer = await api("/v1/keys", { body: { name: "test", scopes } });
  return (await answer.json<{ key: string }>()).key;
}

async function holds(repository: string, digest: string): Promise<boolean> {
  return (await fetch(`http://${target}/v2/${repository}/blobs/${digest}`, { method: "HEAD" })).ok;
}

/** An image of `acme` with a layer that only the private repository has, at the target too. */
async function craft(): Promise<{ repository: string; secret: string }> {
  const name = crypto.randomUUID();
  const bytes = noise(3_000);
  const config = await pushBlob(source, `private/${name}`, noise(300));
  const layer = await pushBlob(source, `private/${name}`, bytes);
  await pushManifest(source, `private/${name}`, { config, layers: [layer] }, MANIFEST_TYPE, "1");
  expect(await copyOf(`private/${name}`, `private/${name}`)).toMatchObject({ state: "succeeded" });
  expect(await holds(`private/${name}`, layer.digest)).toBe(true);
  const repository = `acme/${name}`;
  const own = await pushBlob(source, repository, noise(300));
  // A registry that looks takes no such manifest; one that does not look, or is the attacker's own, has it anyway.
  await pushBlob(source, repository, bytes);
  await pushManifest(source, repository, { config: own, layers: [layer] }, MANIFEST_TYPE, "1");
  const removed = await fetch(`http://${source}/v2/${repository}/blobs/${layer.digest}`, { method: "DELETE" });
  expect(removed.status).toBe(202);
  return { repository, secret: layer.digest };
}

describe("a crafted manifest that names a blob of somebody else", () => {
  test("gets nothing from where the key may not copy from", async () => {
    const { repository, secret } = await craft();
    const view = await copyOf(repository, repository, await keyFor([`${source}/acme/**`]));
    expect(view).toMatchObject({ state: "failed", error: { code: "not_found", side: "source" } });
    expect(await holds(repository, secret)).toBe(false);
  });

  test("gets it where the key may copy from there anyway", async () => {
    const { repository } = await craft();
    const key = await keyFor([`${source}/acme/**`, `${target}/private/**`]);
    const view = await copyOf(repository, repository, key);
    expect(view).toMatchObject({ state: "succeeded", blobs: { copied: 1, mounted: 1 } });
  });

  test("gets it for the operator", async () => {
    const { repository } = await craft();
    const view = await copyOf(repository, repository);
    expect(view).toMatchObject({ state: "succeeded", blobs: { copied: 1, mounted: 1 } });
  });
});

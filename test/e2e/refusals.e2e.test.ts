/** What cannot be copied: the words, the exit status, and that the target stays as it was. */
import { readdir, writeFile } from "node:fs/promises";
import { createServer } from "node:https";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { startRegistry } from "../registry-server/server.ts";
import { listen, shut } from "../support/loopback.ts";
import { selfSigned } from "../support/self-signed.ts";
import { digestOf, pushSample, singleImage } from "../support/sample-image.ts";
import { copyOf } from "./command.ts";
import { requestsOf } from "./registry-log.ts";
import { Pair, describeWithRegistry } from "./pair.ts";

const SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1+prettyjws";

describeWithRegistry("what cannot be copied", () => {
  let pair: Pair;
  beforeAll(async () => {
    pair = await Pair.start();
    await pushSample(pair.source.host, "app/there", singleImage({ seed: "there" }));
  });
  afterAll(async () => pair[Symbol.asyncDispose]());

  it.each([
    ["a repository", "app/nowhere:v1"],
    ["a tag", "app/there:v9"],
    ["a digest", `app/there@sha256:${"0".repeat(64)}`],
  ])("fails on %s that the source does not have", async (_what, reference) => {
    const target = `${pair.target.host}/mirror/missing:v1`;
    const ended = await pair.home.run("copy", "--json", `${pair.source.host}/${reference}`, target);
    expect(ended.status).toBe(1);
    expect(copyOf(ended)).toMatchObject({
      state: "failed",
      error: { code: "not_found", side: "source", host: pair.source.host, retryable: false },
    });
    const plain = await pair.home.run("copy", `${pair.source.host}/${reference}`, target);
    expect(plain).toMatchObject({ status: 1, stdout: "" });
    expect(plain.stderr).toContain(pair.source.host);
  });

  it("refuses a manifest of schema 1 and says what to do", async () => {
    await using source = await startRegistry();
    const bytes = Buffer.from(
      JSON.stringify({ schemaVersion: 1, name: "app/old", tag: "v1", fsLayers: [], history: [] }),
    );
    const repository = source.storage.repository("app/old");
    repository.manifests.set(digestOf(bytes), { bytes, mediaType: SCHEMA_1 });
    repository.tags.set("v1", digestOf(bytes));
    const ended = await pair.home.run(
      "copy",
      "--json",
      `${source.host}/app/old:v1`,
      `${pair.target.host}/mirror/old:v1`,
    );
    expect(ended.status).toBe(1);
    const { error } = copyOf(ended);
    expect(error).toMatchObject({ code: "unsupported", side: "source" });
    expect(error?.message).toMatch(/schema 1/i);
  });

  it("fails on a registry that nobody answers for, and names it", async () => {
    await using gone = await startRegistry();
    const { host } = gone;
    await gone.close();
    const ended = await pair.home.run("copy", "--json", `${host}/app/gone:v1`, `${pair.target.host}/mirror/gone:v1`);
    expect(ended.status).toBe(1);
    expect(copyOf(ended).error).toMatchObject({
      code: "connection",
      side: "source",
      host,
      retryable: true,
      message: expect.stringContaining(`Nothing listens at ${host}: the connection is refused.`),
    });
  });

  it("says while it still tries why the registry of both ends is not reached", async () => {
    await using gone = await startRegistry();
    const { host } = gone;
    await gone.close();
    await using copy = pair.home.spawn("copy", `${host}/app/gone:v1`, `${host}/mirror/gone:v1`);
    await copy.printed(new RegExp(`still trying to reach ${host}\\. Nothing listens at ${host}`));
    copy.signal("SIGINT");
    expect((await copy.ended).status).toBe(130);
  });

  it("says why registries of a file, and of several targets, were not reached", async () => {
    const server = createServer(selfSigned("IP:127.0.0.1"), (_request, response) => response.end());
    const secure = `127.0.0.1:${await listen(server)}`;
    const gone = await startRegistry();
    await gone.close();
    const source = `${pair.source.host}/app/there:v1`;
    const config = join(pair.home.folder, "secure.toml");
    await writeFile(config, `[hosts."${secure}"]\ntls = "enabled"\n`);
    const file = join(pair.home.folder, "unreached.yaml");
    const copies = [`${secure}/app:v1`, `${gone.host}/app:v1`].map((target) => ({ source, target }));
    await writeFile(file, JSON.stringify({ version: 1, copies }));
    const targets = copies.map(({ target }) => target);
    for (const words of [
      ["sync", file],
      ["copy", source, ...targets],
    ]) {
      const ended = await pair.home.run(...words, "--config", config);
      expect(ended.status).toBe(1);
      expect(ended.stderr).toMatch(/→ \S+\/app:v1\. At the target: .*it is self-signed: name it with --ca FILE\./);
      expect(ended.stderr).toContain(`Nothing listens at ${gone.host}: the connection is refused.`);
    }
    await shut(server);
  });

  it.each([
    ["a reference with capitals", ["copy", "127.0.0.1:5000/App:v1", "127.0.0.1:5000/app:v2"], /SOURCE/],
    ["a digest that is none", ["copy", "127.0.0.1:5000/app@sha256:12", "127.0.0.1:5000/app:v2"], /SOURCE/],
    ["an empty target", ["copy", "127.0.0.1:5000/app:v1", ""], /TARGET/],
    ["a missing target", ["copy", "127.0.0.1:5000/app:v1"], /target/],
    ["an unknown option", ["copy", "--fast", "a", "b"], /--fast/],
    ["an unknown command", ["move", "a", "b"], /move/],
    ["a port that is none", ["serve", "--port", "many"], /port/i],
    ["equal source and target", ["copy", "127.0.0.1:5000/app:v1", "127.0.0.1:5000/app:v1"], /source itself/i],
  ])("refuses %s with status 2 and names it", async (_what, args, words) => {
    const ended = await pair.home.run(...args);
    expect(ended).toMatchObject({ status: 2, stdout: "" });
    expect(ended.stderr).toMatch(words);
    expect(ended.stderr).not.toMatch(/\n\s+at /);
  });

  it("prints one JSON object for wrong use too, and asks no registry", async () => {
    const before = requestsOf(pair.target).length;
    const ended = await pair.home.run("copy", "--json", "127.0.0.1:5000/App:v1", `${pair.target.host}/app:v1`);
    expect(ended).toMatchObject({ status: 2, stderr: "" });
    expect(JSON.parse(ended.stdout)).toMatchObject({ status: 400, errors: [{ field: "SOURCE" }] });
    expect(requestsOf(pair.target).length).toBe(before);
  });

  it("refuses unknown host settings and names the field", async () => {
    const file = join(pair.home.folder, "wrong.toml");
    await writeFile(file, `[hosts."${pair.source.host}"]\nreq_concurent = 4\n`);
    const [source, target] = [`${pair.source.host}/app/there:v1`, `${pair.target.host}/m/there:v1`];
    const ended = await pair.home.run("copy", "--config", file, source, target);
    expect(ended.status).toBe(2);
    expect(ended.stderr).toContain("req_concurrent");
  });

  it("leaves nothing of the refused at the target", async () => {
    const repositories = join(pair.target.root, "docker/registry/v2/repositories");
    expect(await readdir(repositories).catch(() => [])).toEqual([]);
  });
});

/** `drayage copy` to several targets: two of Debian's registries and one of the project's own. */
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import * as z from "zod";
import { startRegistry, type TestRegistry } from "../registry-server/server.ts";
import { multiPlatformImage, pushSample, type Sample } from "../support/sample-image.ts";
import { Pair, describeWithRegistry } from "./pair.ts";
import { logSettled, requestsOf } from "./registry-log.ts";

const Report = z.looseObject({
  id: z.string().regex(/^cg_/),
  state: z.string(),
  requests: z.looseObject({ source: z.number() }),
  copies: z.array(z.looseObject({ state: z.string(), target: z.looseObject({ digest: z.string().nullable() }) })),
});

describeWithRegistry("one source, several targets", () => {
  let pair: Pair;
  let own: TestRegistry;
  beforeAll(async () => {
    [pair, own] = await Promise.all([Pair.start(), startRegistry()]);
  });
  afterEach(() => own.faults.clear());
  afterAll(async () => {
    await Promise.all([pair[Symbol.asyncDispose](), own.close()]);
  });

  async function pushed(repository: string): Promise<Sample> {
    const platforms = ["linux/amd64", "linux/arm64"];
    const sample = multiPlatformImage({ seed: repository, tag: "v1", platforms, attestations: false });
    await pushSample(pair.source.host, repository, sample);
    return sample;
  }

  /** Source and targets as the command takes them: Debian's, the project's own, and that once more. */
  function names(repository: string): [string, string, string, string] {
    return [
      `${pair.source.host}/${repository}:v1`,
      `${pair.target.host}/${repository}:v1`,
      `${own.host}/${repository}:v1`,
      `${own.host}/${repository}/again:v1`,
    ];
  }

  async function digestAt(name: string): Promise<string | null> {
    const [, host = "", repository = "", tag = ""] = /^([^/]+)\/(.+):([^:]+)$/.exec(name) ?? [];
    const accept = "application/vnd.oci.image.index.v1+json";
    const answer = await fetch(`http://${host}/v2/${repository}/manifests/${tag}`, {
      method: "HEAD",
      headers: { accept },
    });
    return answer.ok ? answer.headers.get("docker-content-digest") : null;
  }

  it("reads each manifest of the source once, and looks at its tag once", async () => {
    await pushed("app/once");
    const [source, ...targets] = names("app/once");
    const before = requestsOf(pair.source).length;
    const ended = await pair.home.run("copy", "--json", source, ...targets);
    expect(ended, ended.stdout).toMatchObject({ status: 0, stderr: "" });
    const report = Report.parse(JSON.parse(ended.stdout));
    const digest = await digestAt(source);
    expect(report).toMatchObject({ state: "succeeded" });
    expect(report.copies.map(({ state, target }) => [state, target.digest])).toEqual(
      Array.from({ length: 3 }, () => ["succeeded", digest]),
    );
    expect(await Promise.all(targets.map(digestAt))).toEqual([digest, digest, digest]);
    await pair.expectWhole("app/once", "app/once", ["v1"]);

    await logSettled(pair.source);
    const requests = requestsOf(pair.source).slice(before);
    const ofManifests = requests
      .filter(({ uri }) => uri.includes("/manifests/"))
      .map(({ method, uri }) => `${method} ${uri}`);
    // The index and the images of two platforms.
    expect(ofManifests.filter((request) => request.startsWith("GET"))).toHaveLength(3);
    expect(new Set(ofManifests).size).toBe(ofManifests.length);
    expect(ofManifests.filter((request) => request.startsWith("HEAD"))).toEqual(["HEAD /v2/app/once/manifests/v1"]);
    expect(report.requests.source).toBe(requests.length);

    const again = await pair.home.run("copy", source, ...targets);
    expect(again.status).toBe(0);
    expect(again.stderr.match(/^Nothing to do: /gm)).toHaveLength(3);
    await logSettled(pair.source);
    expect(requestsOf(pair.source).length - before - requests.length).toBe(1);
  });

  it("holds no target up for a slow one", async () => {
    await pushed("app/slow");
    const [source, ...targets] = names("app/slow");
    const gate = Promise.withResolvers<void>();
    own.faults.add({
      match: { method: "PUT", path: "/v2/app/slow/again/" },
      action: { type: "hold", until: gate.promise },
    });
    await using running = pair.home.spawn("copy", source, ...targets);
    await running.printed(new RegExp(`Copied ${source} → ${targets[0]}`));
    await running.printed(new RegExp(`Copied ${source} → ${targets[1]}`));
    expect(await Promise.all(targets.map(digestAt))).toEqual([await digestAt(source), await digestAt(source), null]);
    gate.resolve();
    const { status, stderr } = await running.ended;
    expect(status).toBe(0);
    expect(stderr).toMatch(/^3 copies: 3 done, in /m);
    expect(await digestAt(targets[2] ?? "")).toBe(await digestAt(source));
  });

  it("brings it to the others when one refuses, says which, and ends with 1", async () => {
    await pushed("app/refused");
    const [source, ...targets] = names("app/refused");
    own.faults.add({
      match: { method: "POST", path: "/v2/app/refused/again/" },
      action: { type: "status", status: 403, code: "DENIED" },
    });
    const ended = await pair.home.run("copy", source, ...targets);
    expect(ended).toMatchObject({ status: 1, stdout: "" });
    expect(ended.stderr).toMatch(`The copy failed: ${source} → ${targets[2]}.`);
    expect(ended.stderr).toMatch(/^3 copies: 2 done, 1 failed, in /m);
    expect(await Promise.all(targets.map(digestAt))).toEqual([await digestAt(source), await digestAt(source), null]);
  });

  it("is cancelled as a whole by Ctrl-C", async () => {
    await pushed("app/stopped");
    const [source, ...targets] = names("app/stopped");
    const gate = Promise.withResolvers<void>();
    own.faults.add({
      match: { method: "PUT", path: "/v2/app/stopped/" },
      action: { type: "hold", until: gate.promise },
    });
    const ofOwn = targets.slice(1);
    await using running = pair.home.spawn("copy", source, ...ofOwn);
    await running.printed(/copying /);
    running.signal("SIGINT");
    const { status, stderr } = await running.ended;
    gate.resolve();
    expect(status).toBe(130);
    expect(stderr).toMatch(/Cancelled|cancelled|Interrupted/);
    expect(await Promise.all(ofOwn.map(digestAt))).toEqual([null, null]);
  });

  it("says what is wrong with the targets before anything is started", async () => {
    const [source, first, second] = names("app/wrong");
    const ended = await pair.home.run("copy", source, first, second, first);
    expect(ended.status).toBe(2);
    expect(ended.stderr).toMatch(/TARGET 3.*the same as TARGET 1/);
  });

  it("brings the tags of a repository to each target, and prints what became of each", async () => {
    await pushed("app/all");
    const ended = await pair.home.run(
      "copy",
      "--json",
      `${pair.source.host}/app/all`,
      `${pair.target.host}/every/all`,
      `${own.host}/every/all`,
    );
    expect(ended, ended.stdout).toMatchObject({ status: 0, stderr: "" });
    const Results = z.looseObject({
      copies: z.array(z.looseObject({ results: z.array(z.looseObject({ state: z.string() })) })),
    });
    const { copies } = Results.parse(JSON.parse(ended.stdout));
    expect(copies.map(({ results }) => results.map(({ state }) => state))).toEqual([["copied"], ["copied"]]);
  });
});

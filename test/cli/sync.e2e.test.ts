/** `drayage sync` between two of Debian's registries: what arrives from a file in each format, and what is said of it. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import { afterAll, beforeAll, expect, it } from "vitest";
import { startRegistry } from "../registry-server/server.ts";
import { diskStore } from "../support/compare.ts";
import { multiPlatformImage, pushSample, singleImage, type Sample } from "../support/sample-image.ts";
import { describeWithRegistry, Pair } from "../e2e/pair.ts";
import { logSettled, requestsOf } from "../e2e/registry-log.ts";
import type { Ended } from "../e2e/command.ts";

/** What `--json` prints, as far as it is looked at here. */
const Report = z.object({
  format: z.string(),
  copies: z.array(
    z.object({
      line: z.number(),
      target: z.string(),
      state: z.string(),
      copy: z.object({ tags: z.object({ copied: z.number(), unchanged: z.number() }) }).nullable(),
      results: z.array(z.object({ source: z.string(), state: z.string() })).nullable(),
      problem: z.object({ detail: z.string() }).nullable(),
    }),
  ),
  notes: z.array(z.object({ line: z.number(), message: z.string() })),
});

describeWithRegistry("a file of copies", () => {
  let pair: Pair;
  let v1: Sample;
  let v2: Sample;
  beforeAll(async () => {
    pair = await Pair.start();
    v1 = multiPlatformImage({ seed: "sync", tag: "v1" });
    v2 = singleImage({ seed: "sync 2", tag: "v2" });
    for (const sample of [v1, v2, singleImage({ seed: "sync 3", tag: "edge" })]) {
      await pushSample(pair.source.host, "team/app", sample);
    }
    await pushSample(pair.source.host, "team/tool", v2);
  });
  afterAll(async () => pair[Symbol.asyncDispose]());

  /** Runs the command on a file with this text; SOURCE and TARGET in it are the registries. */
  async function sync(text: string, ...options: string[]): Promise<Ended> {
    const file = join(pair.home.folder, "copies.yaml");
    const { source, target } = pair;
    await writeFile(file, text.replaceAll("SOURCE", source.host).replaceAll("TARGET", target.host));
    return pair.home.run("sync", file, ...options.map((option) => option.replace("TARGET", target.host)));
  }

  async function tag(repository: string, name: string): Promise<string | null> {
    return diskStore(pair.target.root, repository).tag(name);
  }

  it("in the project's own format is made whole, one target after the other, and the second time there is nothing to do", async () => {
    const text = `
version: 1
defaults: { tags: { include: "v.*" } }
copies:
  - source: SOURCE/team/app
    targets: [TARGET/own/a, "TARGET/\${NOT_SET:-own}/b"]
  - source: SOURCE/team/tool:v2
    target: TARGET/own/tool:stable
`;
    const before = requestsOf(pair.source).length;
    const first = await sync(text, "--json");
    expect(first, first.stdout + first.stderr).toMatchObject({ status: 0, stderr: "" });
    const report = Report.parse(JSON.parse(first.stdout));
    expect(report.format).toBe("own");
    expect(report.copies.map(({ line, state, results }) => [line, state, results?.length])).toEqual([
      [6, "succeeded", 2],
      [6, "succeeded", 2],
      [7, "succeeded", 1],
    ]);
    await pair.expectWhole("team/app", "own/a", ["v1", "v2"]);
    await pair.expectWhole("team/app", "own/b", ["v1", "v2"]);
    await logSettled(pair.source);
    const ofApp = requestsOf(pair.source)
      .slice(before)
      .filter(({ method, uri }) => method === "GET" && uri.includes("/team/app/manifests/"))
      .map(({ uri }) => uri);
    expect(ofApp.length).toBeGreaterThan(1);
    expect(new Set(ofApp).size).toBe(ofApp.length);
    expect(await tag("own/a", "edge")).toBeNull();
    expect(await tag("own/tool", "stable")).toBe(v2.digest);

    const again = Report.parse(JSON.parse((await sync(text, "--json")).stdout));
    expect(again.copies.map(({ copy }) => copy?.tags)).toMatchObject([
      { copied: 0, unchanged: 2 },
      { copied: 0, unchanged: 2 },
      { copied: 0, unchanged: 1 },
    ]);
  });

  it("goes on when a copy fails, says which with its line, and ends with 1", async () => {
    const text = `
version: 1
copies:
  - { source: "SOURCE/team/nothing:v1", target: "TARGET/goes/nothing:v1" }
  - { source: "SOURCE/team/app:v1", target: "TARGET/goes/on:v1" }
`;
    const plain = await sync(text);
    expect(plain).toMatchObject({ status: 1, stdout: "" });
    expect(plain.stderr).toMatch(/^The copy failed: .*team\/nothing:v1 → .*404/m);
    expect(plain.stderr).toMatch(/^Copied .*team\/app:v1 → /m);
    expect(plain.stderr).toMatch(/^2 copies: 1 done, 1 failed, in /m);
    expect(plain.stderr).not.toContain("\u001b");
    expect(await tag("goes/on", "v1")).toBe(v1.digest);

    const quiet = await sync(text, "--quiet");
    expect(quiet).toMatchObject({ status: 1, stdout: "" });
    expect(quiet.stderr.trim().split("\n")).toEqual([expect.stringContaining("team/nothing:v1")]);
  });

  it("with --fail-fast starts nothing after a copy that failed", async () => {
    const text = `
version: 1
copies:
  - { source: "SOURCE/team/nothing:v1", target: "TARGET/fast/nothing:v1" }
  - { source: "SOURCE/team/app:v1", target: "TARGET/fast/app:v1" }
`;
    const ended = await sync(text, "--fail-fast", "--parallel", "1", "--json");
    expect(ended.status).toBe(1);
    expect(Report.parse(JSON.parse(ended.stdout)).copies.map(({ state }) => state)).toEqual(["failed", "not_started"]);
    expect(await tag("fast/app", "v1")).toBeNull();
  });

  it("with --dry-run writes nothing", async () => {
    const text = "version: 1\ncopies: [{ source: SOURCE/team/app, target: TARGET/dry/app }]";
    const ended = await sync(text, "--dry-run");
    expect(ended.status, ended.stderr).toBe(0);
    expect(ended.stderr).toMatch(/^Would copy .*3 tags/m);
    expect(await tag("dry/app", "v1")).toBeNull();
  });

  it("that is wrong is told with line and column, and no registry hears of it", async () => {
    const before = requestsOf(pair.source).length;
    const ended = await sync(`
version: 1
copies:
  - { source: "SOURCE/team/app:v1", target: "TARGET/wrong/app:v1" }
  - source: "SOURCE/team/app"
    target: "TARGET/wrong/app"
    tags: { include: "(" }
`);
    expect(ended).toMatchObject({ status: 2, stdout: "" });
    expect(ended.stderr).toMatch(/^drayage: .*copies\.yaml:7:13: copies\[1\]\.tags\.include\[0\]: is not a valid/m);
    await logSettled(pair.source);
    expect(requestsOf(pair.source)).toHaveLength(before);
  });

  it("of regsync keeps what it overwrites, and names what it does not honour", async () => {
    await pushSample(pair.target.host, "reg/tool", { ...v1, tag: "stable" });
    const ended = await sync(`
version: 1
defaults: { interval: 60m, parallel: 2 }
sync:
  - source: SOURCE/team/app
    target: TARGET/reg/app
    type: repository
    tags: { allow: ["v\\\\d", edge], deny: [v2] }
  - source: SOURCE/team/tool:v2
    target: TARGET/reg/tool:stable
    type: image
    backup: "old-{{.Ref.Tag}}"
  - source: ocidir:///tmp/app
    target: TARGET/reg/disk
    type: repository
`);
    expect(ended, ended.stderr).toMatchObject({ status: 1, stdout: "" });
    expect(ended.stderr).toMatch(/^note: .*copies\.yaml:3: interval: this is one run/m);
    expect(ended.stderr).toMatch(/^note: .*copies\.yaml:3: parallel: /m);
    expect(ended.stderr).toMatch(/copies\.yaml:13:5: .*OCI layouts on disk/);
    expect(ended.stderr).toMatch(/^3 copies: 2 done, 1 failed, in /m);
    await pair.expectWhole("team/app", "reg/app", ["v1", "edge"]);
    expect(await tag("reg/app", "v2")).toBeNull();
    expect(await tag("reg/tool", "stable")).toBe(v2.digest);
    expect(await tag("reg/tool", "old-stable")).toBe(v1.digest);
  });

  it("of regsync copies every repository that a registry lists, or those that are allowed, and the tags of its media types", async () => {
    const text = `
version: 1
defaults: { mediaTypes: [application/vnd.oci.image.index.v1+json] }
sync:
  - source: SOURCE
    target: TARGET/all
    type: registry
    repos: { allow: ["team/.*"], deny: [".*/slow"] }
    tags: { allow: ["v[0-9]"] }
`;
    const first = await sync(text, "--json");
    expect(first, first.stdout + first.stderr).toMatchObject({ status: 0, stderr: "" });
    const report = Report.parse(JSON.parse(first.stdout));
    expect(report.notes).toEqual([]);
    // The registry lists tags in no order.
    const tagsOf = (results: { source: string; state: string }[] | null) =>
      Object.fromEntries((results ?? []).map(({ source, state }) => [source, state]));
    expect(report.copies.map(({ line, target, results }) => [line, target, tagsOf(results)])).toEqual([
      [5, `${pair.target.host}/all/team/app`, { v1: "copied", v2: "skipped" }],
      [5, `${pair.target.host}/all/team/tool`, { v2: "skipped" }],
    ]);
    await pair.expectWhole("team/app", "all/team/app", ["v1"]);
    expect(await tag("all/team/app", "v2")).toBeNull();

    const plain = await sync(text);
    expect(plain.status, plain.stderr).toBe(0);
    expect(plain.stderr).toMatch(/^warning: .*all\/team\/app: 1 tag left out for the media type: v2\.$/m);
    expect(plain.stderr).toMatch(/^Nothing copied: .*team\/tool → /m);
  });

  it("takes the repositories of a pattern, and says so of a registry that lists none", async () => {
    const text = `
version: 1
copies:
  - { source: "SOURCE/team/t*", target: "TARGET/pattern/{name}" }
`;
    const ended = await sync(text);
    expect(ended.status, ended.stderr).toBe(0);
    expect(ended.stderr).not.toContain("warning");
    await pair.expectWhole("team/tool", "pattern/tool", ["v2"]);

    const plain = 'version: 1\ncopies: [{ source: "SOURCE/team/tool", target: "TARGET/pattern/tool" }]';
    expect((await sync(plain)).stderr).toMatch(/^warning: .*names no tag, so all its tags are copied: 1/m);
    const regsync =
      'version: 1\nsync: [{ source: "SOURCE/team/tool", target: "TARGET/pattern/tool", type: repository }]';
    expect((await sync(regsync)).stderr).not.toContain("warning");

    await using silent = await startRegistry();
    const refused = await sync(text.replaceAll("SOURCE", silent.host));
    expect(refused).toMatchObject({ status: 1, stdout: "" });
    expect(refused.stderr).toMatch(/copies\.yaml:4:5: .*does not list its repositories for us.*Name the repositories/);
  });

  it("of skopeo goes where --to says, scoped or not", async () => {
    const text = `
SOURCE:
  tls-verify: false
  images:
    team/tool: []
  images-by-tag-regex:
    team/app: ^v
`;
    expect(await sync(text, "--to", "TARGET/sko")).toMatchObject({ status: 0 });
    await pair.expectWhole("team/app", "sko/app", ["v1", "v2"]);
    await pair.expectWhole("team/tool", "sko/tool", ["v2"]);
    expect(await tag("sko/app", "edge")).toBeNull();

    expect(await sync(text, "--to", "TARGET/sko", "--scoped")).toMatchObject({ status: 0 });
    await pair.expectWhole("team/app", `sko/${pair.source.host.replace(":", "-")}/team/app`, ["v1"]);
  });

  it("of image-syncer renames tags", async () => {
    const ended = await sync("images: { 'SOURCE/team/app:v1,v2': 'TARGET/syn/app:one,two' }");
    expect(ended.status, ended.stderr).toBe(0);
    expect(await tag("syn/app", "one")).toBe(v1.digest);
    expect(await tag("syn/app", "two")).toBe(v2.digest);
  });

  it("interrupted, cancels its copies and says of each how far it came", async () => {
    const slow = singleImage({ seed: "slow", tag: "slow", layerBytes: Array.from({ length: 12 }, () => 3_000_000) });
    await pushSample(pair.source.host, "team/slow", slow);
    const file = join(pair.home.folder, "slow.yaml");
    const { source, target } = pair;
    const copies = ["a", "b", "c"].map(
      (name) => `{source: ${source.host}/team/slow:slow, target: ${target.host}/${name}:1}`,
    );
    await writeFile(file, `version: 1\ncopies: [${copies.join(", ")}]`);
    const running = pair.home.spawn("sync", file, "--json", "--verbose");
    await running.printed(/"method":"POST".*uploads/);
    running.signal("SIGINT");
    const ended = await running.ended;
    const report = Report.parse(JSON.parse(ended.stdout));
    const states = report.copies.map(({ state }) => state);
    expect(states).toHaveLength(3);
    expect(ended.status).toBe(states.every((state) => state === "succeeded") ? 0 : 130);
    expect(states).toContain("cancelled");
  });
});

describeWithRegistry("credentials in a file of regsync", () => {
  it("are used for the run, beside what the user is logged in to", async () => {
    const login = { user: "someone", password: "s3cret-of-the-file" };
    await using pair = await Pair.start({ source: { htpasswd: login } });
    const sample = singleImage({ seed: "login" });
    await pushSample({ host: pair.source.host, ...login }, "team/app", sample);
    const file = join(pair.home.folder, "regsync.yml");
    const { source, target } = pair;
    await writeFile(
      file,
      `
creds: [{ registry: "${source.host}", user: ${login.user}, pass: ${login.password} }]
sync: [{ source: "${source.host}/team/app:v1", target: "${target.host}/app:v1", type: image }]`,
    );
    const ended = await pair.home.run("sync", file, "--verbose");
    expect(ended.status, ended.stderr).toBe(0);
    expect(await diskStore(target.root, "app").tag("v1")).toBe(sample.digest);
    expect(ended.stderr).not.toContain(login.password);
  });
});

/** A push to Debian's registry, which tells the service, and the image is at another one: with nothing running in between. */
import { randomUUID } from "node:crypto";
import { performance } from "node:perf_hooks";
import * as z from "zod";
import { afterEach, beforeEach, expect, it } from "vitest";
import { compareStores, diskStore } from "../support/compare.ts";
import { startDockerRegistry, type DockerRegistry } from "../support/docker-registry.ts";
import { pushSample, singleImage } from "../support/sample-image.ts";
import { Home, until, type Running } from "./command.ts";
import { describeWithRegistry } from "./pair.ts";

const SECRET = "a secret of these tests";

const RULES = 100;
const EVENTS = 1000;

function rounded(value: unknown): unknown {
  return typeof value === "number" ? Math.round(value) : value;
}

interface RunView {
  copy: string | null;
  state: string;
  events: number;
  digest: string | null;
  reason: string | null;
  times: { at: string; startedAt: string | null; doneAt: string | null };
}

describeWithRegistry("a rule with pushes, under `drayage serve`", () => {
  let home: Home;
  let target: DockerRegistry;
  let serve: Running;
  let url: string;
  let token: string;

  beforeEach(async () => {
    [home, target] = await Promise.all([Home.create(), startDockerRegistry()]);
    home.env["DRAYAGE_HOOK_SECRETS"] = JSON.stringify({ registry: SECRET });
    serve = home.spawn("serve", "--port", "0", "--verbose");
    url = await serve.printed(/listens on (http:[\d./:]+)/);
    token = await serve.printed(/^(drayage_\S+)$/m);
  });
  afterEach(async () => {
    await serve[Symbol.asyncDispose]();
    await Promise.all([home[Symbol.asyncDispose](), target.close()]);
  });

  async function ask<T>(method: string, path: string, body?: object): Promise<T> {
    const answer = await fetch(`${url}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        ...(body === undefined ? {} : { "content-type": "application/json" }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    expect(answer.ok, text).toBe(true);
    const value: T = JSON.parse(text);
    return value;
  }

  /** A registry that tells the rule of every push. */
  async function told(name: string, more: object = {}): Promise<DockerRegistry> {
    const { address } = await ask<{ address: string }>("PUT", `/v1/rules/${name}`, {
      source: "127.0.0.1:*/team/**",
      target: `${target.host}/mirror/{repository}`,
      push: { sender: "distribution", secrets: ["registry"] },
      ...more,
    });
    expect(address).toContain(`${url}/v1/hooks/${name}/`);
    return startDockerRegistry({ notifications: [{ url: address, headers: { Authorization: `Bearer ${SECRET}` } }] });
  }

  async function runsOf(name: string): Promise<RunView[]> {
    return (await ask<{ runs: RunView[] }>("GET", `/v1/rules/${name}/runs`)).runs;
  }

  async function atTarget(repository: string, tag: string): Promise<string | undefined> {
    const answer = await fetch(`${target.url}/v2/${repository}/manifests/${tag}`, {
      method: "HEAD",
      headers: { accept: "application/vnd.oci.image.manifest.v1+json" },
    });
    return answer.ok ? (answer.headers.get("docker-content-digest") ?? undefined) : undefined;
  }

  it("brings what was pushed within two seconds, and began within one", async () => {
    await using source = await told("mirror");
    const figures: { startedMs: number; firstByteMs: number; arrivedMs: number }[] = [];
    for (let n = 0; n < 5; n += 1) {
      const sample = singleImage({ seed: `pushed ${randomUUID()}`, tag: `v${n}`, layerBytes: [20_000, 5_000] });
      await pushSample(source.host, "team/app", sample);
      const pushedAt = Date.now();
      const pushed = performance.now();
      const digest = sample.manifests.at(-1)?.digest ?? "";
      await until("the image at the target", async () =>
        (await atTarget("mirror/team/app", `v${n}`)) === digest ? true : undefined,
      );
      const arrivedMs = Math.round(performance.now() - pushed);
      const [run] = await until("the run's end", async () => {
        const runs = await runsOf("mirror");
        return runs[0]?.state === "succeeded" && runs[0].digest === digest ? runs : undefined;
      });
      const { times } = await ask<{ times: { firstByteAt: string | null } }>("GET", `/v1/copies/${run?.copy}`);
      const sincePush = (at: string | null | undefined): number => Date.parse(at ?? "") - pushedAt;
      figures.push({
        startedMs: sincePush(run?.times.startedAt),
        firstByteMs: sincePush(times.firstByteAt),
        arrivedMs,
      });
      const compared = await compareStores(
        diskStore(source.root, "team/app"),
        diskStore(target.root, "mirror/team/app"),
        [`v${n}`],
      );
      expect(compared.problems).toEqual([]);
    }
    console.log(`from the push to the start, the first byte of a blob, the image (ms): ${JSON.stringify(figures)}`);
    const middle = (of: (figure: (typeof figures)[number]) => number) => figures.map(of).sort((a, b) => a - b)[2];
    expect(middle(({ startedMs }) => startedMs)).toBeLessThan(1000);
    expect(middle(({ firstByteMs }) => firstByteMs)).toBeLessThan(2000);
    expect(middle(({ arrivedMs }) => arrivedMs)).toBeLessThan(2000);
    // Neither the address nor the secret is in the log.
    const log = await serve.printed(/[\s\S]+/);
    expect(log).toContain('"msg":"request"');
    expect(log).not.toMatch(/v1\/hooks\/mirror\/[\w-]{32}/);
    expect(log).not.toContain(SECRET);
  });

  it("leaves the newest of many quick pushes at the target", async () => {
    await using source = await told("mirror");
    let digest = "";
    for (let n = 0; n < 20; n += 1) {
      const sample = singleImage({ seed: `quick ${n}`, tag: "latest", layerBytes: [2_000] });
      await pushSample(source.host, "team/quick", sample);
      digest = sample.manifests.at(-1)?.digest ?? "";
    }
    await until("the newest at the target", async () =>
      (await atTarget("mirror/team/quick", "latest")) === digest ? true : undefined,
    );
    await until("all runs' end", async () =>
      (await runsOf("mirror")).every(({ state }) => state === "succeeded") ? true : undefined,
    );
    expect(await atTarget("mirror/team/quick", "latest")).toBe(digest);
    expect((await runsOf("mirror")).length).toBeLessThan(20);
  });

  it("takes a thousand events for a hundred rules within a minute, and answers at once", async () => {
    await using source = await startDockerRegistry();
    const sample = singleImage({ seed: "many", tag: "v1", layerBytes: [1_000] });
    const digest = sample.manifests.at(-1)?.digest ?? "";
    const addresses: string[] = [];
    for (let n = 0; n < RULES; n += 1) {
      await pushSample(source.host, `team/app-${n}`, sample);
      const { address } = await ask<{ address: string }>("PUT", `/v1/rules/rule-${n}`, {
        source: `${source.host}/team/app-${n}`,
        target: `${target.host}/mirror/{name}`,
        push: { sender: "generic" },
      });
      addresses.push(address);
    }
    const began = performance.now();
    const answeredMs: number[] = [];
    const counts = { started: 0, joined: 0 };
    const events = Array.from({ length: EVENTS }, (_, at) => at);
    const deliverAll = async (): Promise<void> => {
      for (let event = events.shift(); event !== undefined; event = events.shift()) {
        const sent = performance.now();
        const body = { id: `${event}`, image: `${source.host}/team/app-${event % RULES}:v1`, digest };
        const init = { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
        const answer = await fetch(addresses[event % RULES] ?? "", init);
        const said: unknown = await answer.json();
        const { outcome } = z.object({ outcome: z.enum(["started", "joined"]) }).parse(said);
        counts[outcome] += 1;
        answeredMs.push(performance.now() - sent);
      }
    };
    await Promise.all(Array.from({ length: 10 }, deliverAll));
    const takenMs = performance.now() - began;
    let runs = 0;
    for (let n = 0; n < RULES; n += 1) {
      const ended = await until(`the runs of rule-${n}`, async () => {
        const all = await runsOf(`rule-${n}`);
        return all.every(({ state }) => state === "succeeded") ? all : undefined;
      });
      runs += ended.length;
      expect(await atTarget(`mirror/app-${n}`, "v1")).toBe(digest);
    }
    answeredMs.sort((a, b) => a - b);
    const middle = answeredMs[EVENTS / 2] ?? 0;
    const late = answeredMs[EVENTS * 0.99] ?? 0;
    const figures = { takenMs, endedMs: performance.now() - began, middle, late, runs, ...counts };
    console.log(`a thousand events for a hundred rules: ${JSON.stringify(figures, (_, value) => rounded(value))}`);
    expect([counts.started + counts.joined, counts.started]).toEqual([EVENTS, runs]);
    expect(runs).toBeLessThan(2 * RULES);
    expect(performance.now() - began).toBeLessThan(60_000);
    expect(middle).toBeLessThan(1000);
  });

  it("copies every repository of a pattern, as its registry lists them", async () => {
    await using source = await startDockerRegistry();
    const sample = singleImage({ seed: "listed", tag: "v1", layerBytes: [1_000] });
    const digest = sample.manifests.at(-1)?.digest ?? "";
    const names = ["team/api", "team/deep/web", "other/app"];
    await Promise.all(names.map((name) => pushSample(source.host, name, sample)));
    await ask("PUT", "/v1/rules/all", { source: `${source.host}/team/**`, target: `${target.host}/m/{repository}` });
    expect(await ask("POST", "/v1/rules/all/run")).toMatchObject({ outcome: "started", copy: null });
    const runs = await until("all runs' end", async () => {
      const all = await runsOf("all");
      return all.length === 3 && all.every(({ state }) => state === "succeeded") ? all : undefined;
    });
    expect(runs[0]?.reason).toBe("Repositories among the source: 2; 2 copies begun, with all tags.");
    const arrived = await Promise.all(names.map((name) => atTarget(`m/${name}`, "v1")));
    expect(arrived).toEqual([digest, digest, undefined]);
  });

  it("lets nobody in who does not know the secret, and starts nothing for them", async () => {
    const { address } = await ask<{ address: string }>("PUT", "/v1/rules/mirror", {
      source: "127.0.0.1:*/team/**",
      target: `${target.host}/mirror/{repository}`,
      push: { sender: "generic", secrets: ["registry"] },
    });
    const body = JSON.stringify({ image: `${target.host}/team/app:v1` });
    const deliver = (to: string, headers: Record<string, string>) => fetch(to, { method: "POST", body, headers });
    const answers = await Promise.all([
      deliver(address, {}),
      deliver(address, { "x-webhook-secret": "wrong" }),
      deliver(address.slice(0, -1), { "x-webhook-secret": SECRET }),
      deliver(address.replace("mirror/", "other/"), { "x-webhook-secret": SECRET }),
    ]);
    expect(answers.map(({ status }) => status)).toEqual([401, 401, 404, 404]);
    expect(await runsOf("mirror")).toEqual([]);
    expect((await deliver(address, { "x-webhook-secret": SECRET })).status).toBe(202);
  });
});

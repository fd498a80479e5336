/** `drayage sync` against a plain HTTP server in place of a service: what it asks for and when, what it says, its status. */
import { EventEmitter } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import * as z from "zod";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { gateOf } from "../../src/cli/commands/at-once.ts";
import { run } from "../../src/cli/program.ts";
import type { CopyView } from "../../src/job/contract.ts";
import { listen, shut } from "../support/loopback.ts";
import { view } from "./views.ts";

const Body = z.looseObject({
  source: z.string(),
  target: z.string().default(""),
  targets: z.array(z.string()).optional(),
});

interface Started {
  view: CopyView;
  follower: ServerResponse | null;
}

/** A service whose copies end as their source says: `…:ok`, `…:fails`, `…:refused`, or `…:hangs` until they are cancelled. */
class StubService {
  readonly bodies: unknown[] = [];
  readonly cancelled: string[] = [];
  mostAtOnce = 0;
  /** How many copies it has at once; beyond it 429. */
  limit = Number.POSITIVE_INFINITY;
  /** Registries and the pages of repositories that they list; of others there is no list. */
  readonly listed = new Map<string, string[][]>();
  /** Hosts whose repositories were asked for, a page each. */
  readonly lists: string[] = [];
  /** What it says to everything instead of an answer. */
  status = 0;
  readonly #copies = new Map<string, Started>();
  readonly #server = createServer((request, response) => void this.#answer(request, response));
  #port = 0;

  static async start(): Promise<StubService> {
    const service = new StubService();
    service.#port = await listen(service.#server);
    return service;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}/`;
  }

  close(): Promise<void> {
    return shut(this.#server);
  }

  get #running(): Started[] {
    return [...this.#copies.values()].filter((copy) => copy.view.state === "running");
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let text = "";
    for await (const piece of request) {
      text += String(piece);
    }
    const [, , , id = "", part] = (request.url ?? "").split(/[/?]/);
    const copy = this.#copies.get(id);
    if (this.status !== 0) {
      problem(response, this.status, "Not now.");
    } else if (request.method === "POST") {
      this.#create(Body.parse(JSON.parse(text)), response);
    } else if (part === "repositories") {
      this.#list(decodeURIComponent(id), new URL(request.url ?? "", this.url).searchParams, response);
    } else if (copy === undefined) {
      problem(response, 404, "There is no such copy.");
    } else if (request.method === "DELETE") {
      this.cancelled.push(copy.view.source.reference);
      this.#end(copy, "cancelled");
      response.end(JSON.stringify(copy.view));
    } else if (part === "events") {
      this.#follow(copy, response);
    } else {
      const tag = {
        source: "t",
        target: "t",
        digest: null,
        oldDigest: null,
        state: "copied",
        error: null,
        reason: null,
      };
      response.end(JSON.stringify(part === "tags" ? { tags: [tag], next: null } : copy.view));
    }
  }

  #list(host: string, query: URLSearchParams, response: ServerResponse): void {
    this.lists.push(host);
    const pages = this.listed.get(host);
    if (pages === undefined) {
      problem(response, 502, `${host} does not list its repositories for us.`);
      return;
    }
    const page = Number(query.get("cursor")?.slice(1) ?? 0);
    const next = page + 1 < pages.length ? `?${page + 1}` : null;
    response.end(JSON.stringify({ repositories: pages[page] ?? [], next }));
  }

  #create(body: z.output<typeof Body>, response: ServerResponse): void {
    const { source, target, targets } = body;
    if (this.#running.length + (targets ?? [target]).length > this.limit) {
      problem(response, 429, "This key may have no more copies at once.");
      return;
    }
    if (source.endsWith(":refused")) {
      problem(response, 422, "Not to there.", [{ field: "target", message: "not to there" }]);
      return;
    }
    this.bodies.push(targets === undefined ? body : { source, targets });
    const made =
      targets === undefined
        ? this.#make(source, target)
        : {
            ...view({ id: "cg_0", source: { reference: source, digest: null } }),
            copies: targets.map((each) => this.#make(source, each)),
          };
    response.writeHead(202).end(JSON.stringify(made));
  }

  #make(source: string, target: string): CopyView {
    const id = `cp_${this.#copies.size}`;
    const made = view({
      id,
      source: { reference: source, digest: null },
      target: { reference: target, digest: null },
    });
    this.#copies.set(id, { view: made, follower: null });
    this.mostAtOnce = Math.max(this.mostAtOnce, this.#running.length);
    return made;
  }

  #follow(copy: Started, response: ServerResponse): void {
    response.writeHead(200, { "content-type": "text/event-stream" });
    copy.follower = response;
    if (copy.view.state !== "running") {
      this.#tell(copy);
    } else if (!copy.view.source.reference.endsWith(":hangs")) {
      this.#end(copy, copy.view.source.reference.endsWith(":fails") ? "failed" : "succeeded");
    }
  }

  #end(copy: Started, state: CopyView["state"]): void {
    if (copy.view.state === "running") {
      copy.view = { ...copy.view, state };
      this.#tell(copy);
    }
  }

  #tell(copy: Started): void {
    const event = { seq: 1, at: "2026-01-01T00:00:00.000Z", type: "state", data: copy.view };
    copy.follower?.end(`id: 1\ndata: ${JSON.stringify(event)}\n\n`);
  }
}

function problem(response: ServerResponse, status: number, detail: string, errors: object[] = []): void {
  response.writeHead(status).end(JSON.stringify({ type: "about:blank", title: "No", status, detail, errors }));
}

let home: string;
let service: StubService;

beforeEach(async () => {
  home = mkdtempSync(join(tmpdir(), "drayage-sync-"));
  service = await StubService.start();
});
afterEach(async () => {
  await service.close();
  rmSync(home, { recursive: true, force: true });
});

/** Runs it on copies of these sources, in lines 3, 4, …. */
async function sync(
  sources: string[],
  ...options: string[]
): Promise<{ status: number; stdout: string; stderr: string }> {
  const copies = sources.map((source, at) => `  - { source: "a.example/${source}", target: "b.example/${at}:1" }`);
  return syncText(`version: 1\ncopies:\n${copies.join("\n")}\n`, ...options);
}

async function syncText(
  text: string,
  ...options: string[]
): Promise<{ status: number; stdout: string; stderr: string }> {
  const file = join(home, "f.yaml");
  writeFileSync(file, text);
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const argv = ["sync", file, ...(options.includes("--server") ? [] : ["--server", service.url]), ...options];
  const env = { XDG_CONFIG_HOME: home, XDG_STATE_HOME: home, DRAYAGE_TOKEN: "t" };
  const status = await run(argv, { env, stdout, stderr, stdin: new PassThrough(), signals: new EventEmitter() });
  const errors = String(stderr.read() ?? "").replaceAll(file, "f.yaml");
  return { status, stdout: String(stdout.read() ?? "").replaceAll(file, "f.yaml"), stderr: errors };
}

describe("copies", () => {
  test("are all started, and each end is said, then the whole", async () => {
    const ended = await sync(["x:ok", "y:fails", "z:ok"]);
    expect(ended).toMatchObject({ status: 1, stdout: "" });
    expect(ended.stderr).toMatch(/a\.example\/x:ok → b\.example\/0:1/);
    expect(ended.stderr).toMatch(/The copy failed: a\.example\/y:fails → b\.example\/1:1/);
    expect(ended.stderr).toMatch(/\n3 copies: 2 done, 1 failed, in [\d.]+ s\n$/);
  });

  test("are asked for with what the options say", async () => {
    await syncText(
      "version: 1\ncopies: [{source: a.example/x, target: b.example/x}, {source: 'a.example/y:1', target: b.example/y}]",
      "--dry-run",
      "--fail-fast",
    );
    expect(service.bodies).toEqual([
      { source: "a.example/x", target: "b.example/x", dry_run: true, fail_fast: true },
      { source: "a.example/y:1", target: "b.example/y", dry_run: true },
    ]);
  });

  describe("of one source to several targets", () => {
    const targets = ["b.example/x:1", "c.example/x:1"];
    const text = (end: string) =>
      `version: 1\ncopies: [{source: "a.example/x:${end}", targets: [${targets.join(", ")}]}]`;
    const alone = targets.map((target) => ({ source: "a.example/x:ok", target }));

    test("are asked for together", async () => {
      const ended = await syncText(text("ok"));
      expect(ended.status).toBe(0);
      expect(ended.stderr).toMatch(/\n2 copies: 2 done, in /);
      expect(service.bodies).toEqual([{ source: "a.example/x:ok", targets }]);
    });

    test("are asked for one by one where --parallel bounds them", async () => {
      expect(await syncText(text("ok"), "--parallel", "1")).toMatchObject({ status: 0 });
      expect(service.bodies).toEqual(alone);
      expect(service.mostAtOnce).toBe(1);
    });

    test("are asked for one by one where there is no room for all of them", async () => {
      service.limit = 1;
      expect(await syncText(text("ok"))).toMatchObject({ status: 0 });
      expect(service.bodies).toEqual(alone);
    });

    test("are refused each for itself", async () => {
      const ended = await syncText(text("refused"), "--json");
      expect(ended.status).toBe(2);
      const Copies = z.object({ copies: z.array(z.looseObject({ state: z.string(), target: z.string() })) });
      const { copies } = Copies.parse(JSON.parse(ended.stdout));
      expect(copies.map(({ state, target }) => [state, target])).toEqual(targets.map((target) => ["refused", target]));
    });
  });

  test("are no more at once than --parallel says", async () => {
    expect(await sync(["a:ok", "b:ok", "c:ok", "d:ok", "e:ok"], "--parallel", "2")).toMatchObject({ status: 0 });
    expect(service.bodies).toHaveLength(5);
    expect(service.mostAtOnce).toBeLessThanOrEqual(2);
  });

  test("wait for one of their own to end where the service has no room for more", async () => {
    service.limit = 1;
    expect(await sync(["a:ok", "b:ok", "c:ok"])).toMatchObject({ status: 0 });
    expect(service.mostAtOnce).toBe(1);
  });

  test("fail where the service has no room and none of them runs", async () => {
    service.limit = 0;
    const ended = await sync(["a:ok"]);
    expect(ended).toMatchObject({ status: 1 });
    expect(ended.stderr).toMatch(/may have no more copies at once/);
  });

  test("end with the first failure under --fail-fast: those under way are cancelled", async () => {
    const ended = await sync(["x:hangs", "y:fails", "z:hangs"], "--fail-fast", "--json");
    expect(ended.status).toBe(1);
    expect(JSON.parse(ended.stdout)).toMatchObject({
      copies: [{ state: "cancelled" }, { state: "failed" }, { state: expect.stringMatching(/cancelled|not_started/) }],
    });
    expect(service.cancelled).toContain("a.example/x:hangs");
  });

  test("have their lines and tags in one JSON object", async () => {
    const ended = await sync(["x:ok", "y:refused"], "--json");
    expect(ended).toMatchObject({ status: 1, stderr: "" });
    expect(JSON.parse(ended.stdout)).toMatchObject({
      file: "f.yaml",
      format: "own",
      dryRun: false,
      copies: [
        { line: 3, state: "succeeded", target: "b.example/0:1", results: [{ state: "copied" }], problem: null },
        { line: 4, state: "refused", copy: null, results: null, problem: { status: 422, detail: "Not to there." } },
      ],
      notes: [],
    });
  });
});

describe("every repository of a registry", () => {
  const text = `version: 1
sync:
  - { source: "a.example:5000", target: b.example/m, type: registry, repos: { deny: ["x/.*"] } }
  - { source: hub.example, target: b.example/hub, type: registry }
  - { source: "a.example:5000/app:ok", target: "b.example/one:1", type: image }
`;
  const withoutHub = text.replace(/^.*hub\.example.*\n/m, "");

  beforeEach(() => service.listed.set("a.example:5000", [["app"], ["x/app"], [], ["team/web"]]));

  test("is listed page by page and asked for, with what the options say", async () => {
    const ended = await syncText(withoutHub, "--dry-run", "--fail-fast");
    expect(ended.status, ended.stderr).toBe(0);
    expect(service.lists).toEqual(["a.example:5000", "a.example:5000", "a.example:5000", "a.example:5000"]);
    const asked = { tags: { include: [".*"] }, dry_run: true, fail_fast: true };
    expect(service.bodies).toEqual(
      expect.arrayContaining([
        { source: "a.example:5000/app", target: "b.example/m/app", ...asked },
        { source: "a.example:5000/team/web", target: "b.example/m/team/web", ...asked },
        { source: "a.example:5000/app:ok", target: "b.example/one:1", dry_run: true },
      ]),
    );
    expect(ended.stderr).toMatch(/\n3 copies: 3 looked into, in /);
  });

  test("fails where the registry does not list them, with its line, and the others are copied", async () => {
    const ended = await syncText(text, "--json");
    expect(ended.status).toBe(1);
    const Copies = z.object({
      copies: z.array(z.looseObject({ line: z.number(), state: z.string(), target: z.string(), problem: z.unknown() })),
    });
    const { copies } = Copies.parse(JSON.parse(ended.stdout));
    expect(copies.map(({ line, state, target }) => [line, state, target])).toEqual([
      [3, "succeeded", "b.example/m/app"],
      [3, "succeeded", "b.example/m/team/web"],
      [4, "not_served", "b.example/hub/{repository}"],
      [5, "succeeded", "b.example/one:1"],
    ]);
    expect(copies[2]?.problem).toMatchObject({ detail: "hub.example does not list its repositories for us." });
    const plain = await syncText(text);
    expect(plain.stderr).toMatch(/^f\.yaml:4:\d+: hub\.example\/\{repository\} → .*: hub\.example does not list/m);
  });

  test("that cannot be listed ends --fail-fast before anything is copied", async () => {
    expect(await syncText(text, "--fail-fast")).toMatchObject({ status: 1 });
    expect(service.bodies).toEqual([]);
  });

  test("is asked for once, however many entries are about it; a choice of nothing is told", async () => {
    const own = `version: 1
copies:
  - { source: "a.example:5000/team/**", target: "b.example/{repository}" }
  - { source: "a.example:5000/none/**", target: "b.example/{repository}" }
`;
    const ended = await syncText(own);
    expect(ended.status, ended.stderr).toBe(0);
    expect(service.lists).toHaveLength(4);
    expect(service.bodies).toEqual([
      { source: "a.example:5000/team/web", target: "b.example/team/web", tags: { include: [".*"] } },
    ]);
    expect(ended.stderr).toMatch(/^note: f\.yaml:4: none of the 3 repositories that a\.example:5000 lists is chosen$/m);
  });

  test("is not asked for where the service refuses the token", async () => {
    service.status = 401;
    const ended = await syncText(withoutHub);
    expect(ended.status).toBe(2);
    expect(ended.stderr).toMatch(/Not now\./);
  });
});

describe("what the service refuses", () => {
  test("is told with the place in the file, and is wrong use where it is all", async () => {
    const ended = await sync(["x:refused", "y:refused"], "--quiet");
    expect(ended).toMatchObject({ status: 2, stdout: "" });
    expect(ended.stderr.split("\n").filter((line) => line !== "")).toEqual([
      expect.stringMatching(/^f\.yaml:3:\d+: a\.example\/x:refused → b\.example\/0:1: Not to there\./),
      expect.stringMatching(/^f\.yaml:4:\d+: /),
    ]);
  });

  test.each([
    [401, 2],
    [500, 1],
  ])("for every copy alike, as with status %i, ends with %i", async (status, expected) => {
    service.status = status;
    const ended = await sync(["x:ok", "y:ok"]);
    expect(ended.status).toBe(expected);
    expect(ended.stderr).toMatch(/Not now\./);
  });

  test("is said once where it cannot be reached at all", async () => {
    const ended = await sync(["x:ok", "y:ok"], "--server", "http://127.0.0.1:1/");
    expect(ended).toMatchObject({ status: 1, stdout: "" });
    expect(ended.stderr).toMatch(/^drayage: .*cannot be reached.*\n$/);
  });
});

describe("before anything is started", () => {
  test.each<[string, string, string[], RegExp]>([
    ["syntax", "version: 1\ncopies: [", [], /^drayage: f\.yaml:2:\d+: /],
    ["what it cannot read", "a: 1", [], /^drayage: f\.yaml: this is no file of copies/],
    ["a missing --to", "a.example: {images: {x: []}}", [], /^drayage: f\.yaml: this format names no target/],
    ["contradictions", "version: 1", ["--fail-fast", "--keep-going"], /say the opposite/],
    ["an unknown format", "version: 1", ["--format", "yaml"], /Allowed choices are own, regsync, skopeo/],
    ["no number", "version: 1", ["--parallel", "0"], /whole number from 1/],
  ])("%s is told, and ends with 2", async (_name, text, options, words) => {
    const ended = await syncText(text, ...options);
    expect(ended).toMatchObject({ status: 2, stdout: "" });
    expect(ended.stderr).toMatch(words);
    expect(service.bodies).toEqual([]);
  });

  test("--json tells it as a problem with the places as fields", async () => {
    const ended = await syncText("version: 1\ncopies: []", "--json");
    expect(ended).toMatchObject({ status: 2, stderr: "" });
    expect(JSON.parse(ended.stdout)).toMatchObject({
      status: 400,
      errors: [{ field: "f.yaml:2:1: copies", message: "has no copy" }],
    });
  });

  test("a file that is not there is named", async () => {
    const [stdout, stderr] = [new PassThrough(), new PassThrough()];
    const status = await run(["sync", "/none.yaml"], {
      env: {},
      stdout,
      stderr,
      stdin: new PassThrough(),
      signals: new EventEmitter(),
    });
    expect([status, String(stderr.read())]).toEqual([2, "drayage: /none.yaml cannot be read (ENOENT)\n"]);
  });

  test("what a file says of registries is not for a service elsewhere, and that is said", async () => {
    const ended = await syncText(
      "creds: [{registry: a.example, user: u, pass: secret}]\nsync: [{source: 'a.example/x:ok', target: 'b.example/x:1', type: image}]",
    );
    expect(ended.status).toBe(0);
    expect(ended.stderr).toMatch(/note: f\.yaml: what it says of registries is not honoured/);
    expect(JSON.stringify(service.bodies) + ended.stderr).not.toContain("secret");
  });

  test("an entry that is not served ends --fail-fast, and nothing is started", async () => {
    const text =
      "sync: [{source: a.example, target: b.example, type: registry}, {source: 'a.example/x:ok', target: 'b.example/x:1', type: image}]";
    const ended = await syncText(text, "--fail-fast");
    expect(ended.status).toBe(1);
    expect(ended.stderr).toMatch(/2 copies: 1 failed, 1 not started/);
    expect(service.bodies).toEqual([]);
    expect(await syncText(text)).toMatchObject({ status: 1 });
    expect(service.bodies).toHaveLength(1);
  });
});

test("a gate lets so many in at once, the others in their order, also past failures", async () => {
  const gate = gateOf(2);
  const order: number[] = [];
  let inside = 0;
  const work = async (at: number): Promise<void> => {
    inside += 1;
    expect(inside).toBeLessThanOrEqual(2);
    order.push(at);
    await Promise.resolve();
    inside -= 1;
    if (at === 1) {
      throw new Error("as told");
    }
  };
  const ends = await Promise.allSettled([0, 1, 2, 3, 4].map((at) => gate(() => work(at))));
  expect(order).toEqual([0, 1, 2, 3, 4]);
  expect(ends.filter(({ status }) => status === "rejected")).toHaveLength(1);
});

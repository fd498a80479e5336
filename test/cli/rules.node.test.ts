/** `drayage rules` against a plain HTTP server in place of a service: what it sends, what it prints where, its status. */
import { EventEmitter } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { applyRulesCommand } from "../../src/cli/commands/rules.ts";
import { rulesIn } from "../../src/cli/commands/rule-file.ts";
import { run } from "../../src/cli/program.ts";
import { listen, shut } from "../support/loopback.ts";

type Answer = { status: number; body: unknown };

const PROBLEM = { type: "urn:drayage:problem:invalid-request", title: "wrong", status: 422 };

let server: Server;
let url = "";
let folder = "";
let asked: string[] = [];
let answer: (method: string, path: string, body: unknown) => Answer = () => ({ status: 500, body: null });

beforeEach(async () => {
  asked = [];
  folder = mkdtempSync(join(tmpdir(), "drayage-rules-"));
  server = createServer((request, response) => {
    let text = "";
    request.on("data", (piece: Buffer) => (text += piece.toString("utf8")));
    request.on("end", () => {
      const { method = "", url: path = "" } = request;
      asked.push(`${method} ${path}`);
      const { status, body } = answer(method, path, text === "" ? null : JSON.parse(text));
      response.writeHead(status, { "content-type": "application/json" }).end(body === null ? "" : JSON.stringify(body));
    });
  });
  url = `http://127.0.0.1:${await listen(server)}`;
});

afterEach(async () => {
  await shut(server);
  rmSync(folder, { recursive: true, force: true });
});

function rule(name: string, body: object, more: object = {}) {
  return { name, version: 1, owner: "root", rule: body, hook: null, next: null, lastRun: null, ...more };
}

function io() {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const text = (stream: PassThrough) => String(stream.read() ?? "");
  const given = { env: { DRAYAGE_TOKEN: "t" }, stdout, stderr, stdin: new PassThrough(), signals: new EventEmitter() };
  return { given, said: () => ({ stdout: text(stdout), stderr: text(stderr) }) };
}

async function drayage(...args: string[]) {
  const { given, said } = io();
  const status = await run(["rules", ...args, "--server", url], given);
  return { status, ...said() };
}

function file(text: string): string {
  const path = join(folder, "rules.yaml");
  writeFileSync(path, text);
  return path;
}

/** A service that has these rules, and takes whatever is written. */
function serviceWith(known: Record<string, object>): typeof answer {
  return (method, path, body) => {
    const name = /^\/v1\/rules\/([\w-]+)/.exec(path)?.[1] ?? "";
    if (method === "GET") {
      return { status: 200, body: { rules: Object.entries(known).map(([each, has]) => rule(each, has)), next: null } };
    }
    if (method === "DELETE") {
      return { status: 204, body: null };
    }
    const isSame = JSON.stringify(known[name]) === JSON.stringify(body);
    const outcome = known[name] === undefined ? "created" : isSame ? "unchanged" : "changed";
    const isNew = outcome === "created" && !path.includes("dry_run") && typeof body === "object" && body !== null;
    const address = isNew && "push" in body ? `https://d.example/v1/hooks/${name}/part` : null;
    return { status: 200, body: { ...rule(name, body ?? {}), outcome, address } };
  };
}

const FILE = `
rules:
  new: { source: a.example/x, target: b.example/x, push: { sender: ghcr } }
  same: { source: a.example/y, target: b.example/y }
  other: { source: a.example/z, target: b.example/z, deep: true }
`;
const KNOWN = {
  same: { source: "a.example/y", target: "b.example/y" },
  other: { source: "a.example/z", target: "b.example/z" },
  old: { source: "a.example/o", target: "b.example/o" },
};

describe("apply", () => {
  test.each([
    ["y and the line's end", "y\n", 0, /Done/],
    ["n", "n\n", 0, /Nothing is changed/],
    ["Ctrl-D", "\u0004", 0, /Nothing is changed/],
    ["Ctrl-C", "\u0003", 130, /\nInterrupted\.\n$/],
  ])("asks at a terminal, where %s is heard", async (_what, keys, status, words) => {
    answer = serviceWith({});
    const { given, said } = io();
    const [stdin, stderr] = [Object.assign(given.stdin, { isTTY: true }), Object.assign(given.stderr, { isTTY: true })];
    const ended = run(["rules", "apply", file(FILE), "--server", url], { ...given, stdin, stderr });
    stdin.write(keys);
    expect(await ended).toBe(status);
    expect(said().stderr).toMatch(words);
  });

  test("shows what it would do, and does nothing without being told to", async () => {
    answer = serviceWith(KNOWN);
    const dry = await drayage("apply", file(FILE), "--dry-run", "--prune");
    expect(dry.status).toBe(0);
    expect(dry.stderr).toBe("+ new  created\n= same  unchanged\n~ other  changed (deep)\n- old  deleted\n");
    expect(dry.stdout).toBe("");
    const unasked = await drayage("apply", file(FILE));
    expect(unasked.status).toBe(2);
    expect(unasked.stderr).toContain("add --yes");
    expect(asked.filter((each) => !each.startsWith("GET") && !each.includes("dry_run"))).toEqual([]);
  });

  test("has as much time for checking many rules as for writing them, not that of a single question", async () => {
    const single = new AbortController();
    const timeout = vi.spyOn(AbortSignal, "timeout").mockImplementation((ms) => {
      return ms <= 30_000 ? single.signal : new AbortController().signal;
    });
    onTestFinished(() => timeout.mockRestore());
    const service = serviceWith(KNOWN);
    answer = (method, path, body) => {
      if (method === "PUT") {
        single.abort();
      }
      return service(method, path, body);
    };
    expect((await drayage("apply", file(FILE), "--yes")).status).toBe(0);
  });

  test("with --yes does it, and prints the new addresses on standard output", async () => {
    answer = serviceWith(KNOWN);
    const { status, stdout, stderr } = await drayage("apply", file(FILE), "--yes", "--prune");
    expect(status).toBe(0);
    expect(stdout).toBe("new  https://d.example/v1/hooks/new/part\n");
    expect(stderr).toContain("not shown again");
    expect(asked.slice(4)).toEqual(["PUT /v1/rules/new", "PUT /v1/rules/other", "DELETE /v1/rules/old"]);
  });

  test.each([
    [true, true],
    [false, false],
  ])("asks a person, who says %s", async (says, isDone) => {
    answer = serviceWith(KNOWN);
    const { given } = io();
    await applyRulesCommand(file(FILE), { server: url }, given, async () => says);
    expect(asked.includes("PUT /v1/rules/new")).toBe(isDone);
  });

  test("has nothing to do when all is as the file says", async () => {
    answer = serviceWith({ same: KNOWN.same });
    const { status, stderr } = await drayage(
      "apply",
      file("rules: { same: { source: a.example/y, target: b.example/y } }"),
    );
    expect([status, stderr]).toEqual([0, "= same  unchanged\nNothing to change.\n"]);
  });

  test("says everything that is wrong in every rule, and writes none", async () => {
    answer = (method, path, body) =>
      method === "PUT" && !path.includes("/same")
        ? {
            status: 422,
            body: { ...PROBLEM, detail: "x", errors: [{ field: "source", message: `no good in ${path}` }] },
          }
        : serviceWith({})(method, path, body);
    const { status, stderr } = await drayage("apply", file(FILE), "--yes");
    expect(status).toBe(2);
    expect(stderr).toContain("rules.new.source: no good");
    expect(stderr).toContain("rules.other.source: no good");
    expect(asked.filter((each) => each.startsWith("PUT") && !each.includes("dry_run"))).toEqual([]);
  });

  test("makes an address before another rule of the file listens at it", async () => {
    answer = (method, path, body) =>
      path.includes("listener?dry_run")
        ? {
            status: 422,
            body: { ...PROBLEM, detail: "x", errors: [{ field: "push.with", message: "there is no rule new" }] },
          }
        : serviceWith({})(method, path, body);
    const text = "rules:\n  listener: { push: { with: new } }\n  new: { push: {} }\n";
    expect((await drayage("apply", file(text), "--yes")).status).toBe(0);
    expect(asked.slice(-2)).toEqual(["PUT /v1/rules/new", "PUT /v1/rules/listener"]);
  });

  test("with --json prints one object", async () => {
    answer = serviceWith({});
    const { stdout, stderr } = await drayage("apply", file("rules: { new: { push: {} } }"), "--yes", "--json");
    expect(JSON.parse(stdout)).toEqual({
      plan: [{ name: "new", outcome: "created", fields: ["push"] }],
      applied: true,
      addresses: { new: "https://d.example/v1/hooks/new/part" },
    });
    expect(stderr).toBe("");
  });
});

test.each([
  ["not there", null, "cannot be read"],
  ["no YAML", "rules: [", "neither YAML nor JSON"],
  ["something else", "copies: []", "has no rules"],
  ["more than rules", "rules: {}\nhosts: {}", "hosts"],
  ["a list of rules", "rules: [{ source: x }]", "no table"],
  ["a rule without fields", "rules: { one: }", "one has no fields"],
])("a file that is %s is refused", async (_, text, words) => {
  const path = text === null ? join(folder, "nothing") : file(text);
  const { status, stderr } = await drayage("apply", path);
  expect([status, asked]).toEqual([2, []]);
  expect(stderr).toContain(words);
});

test("JSON is taken as well", () => {
  expect([...rulesIn('{"rules": {"one": {"source": "x"}}}', "f")]).toEqual([["one", { source: "x" }]]);
});

test("list shows each rule on a line", async () => {
  answer = () => {
    const lastRun = { state: "succeeded" };
    const next = { at: "2026-11-25T02:30:00.000Z" };
    const body = { source: "a/x", target: "b/x", schedule: {}, push: {} };
    const open = { waiting: 12, running: 2, waitingUntil: "2026-11-24T18:00:00.000Z" };
    const rules = [rule("one", body, { lastRun, next, open }), rule("two", body, { lastRun, next })];
    return { status: 200, body: { rules, next: null } };
  };
  const { status, stdout } = await drayage("list");
  expect(status).toBe(0);
  const [, one, two] = stdout.split("\n");
  expect(one).toMatch(
    /^one +1 +push,schedule +a\/x +b\/x +succeeded +12 waiting \(until 2026-11-24 18:00\), 2 running +2026-11-25 02:30$/,
  );
  expect(two).toMatch(/ succeeded +- +2026-11-25 02:30$/);
});

test.each<[string, string[], Answer, string, string]>([
  [
    "run",
    ["run", "one", "--source", "a/x:1"],
    {
      status: 202,
      body: { outcome: "started", copy: "cp_1", source: { reference: "a/x:1" }, target: { reference: "b/x:1" } },
    },
    "POST /v1/rules/one/run",
    "cp_1\n",
  ],
  [
    "run of a pattern",
    ["run", "one"],
    {
      status: 202,
      body: { outcome: "started", copy: null, source: { reference: "a/**" }, target: { reference: "b/{name}" } },
    },
    "POST /v1/rules/one/run",
    "",
  ],
  [
    "rotate",
    ["rotate", "one"],
    { status: 200, body: rule("one", {}, { address: "https://x" }) },
    "POST /v1/rules/one/rotate",
    "https://x\n",
  ],
  ["delete", ["delete", "one"], { status: 204, body: null }, "DELETE /v1/rules/one", ""],
])("%s asks for it and prints what matters", async (_, args, says, request, printed) => {
  answer = () => says;
  const { status, stdout } = await drayage(...args);
  expect([status, asked, stdout]).toEqual([0, [request], printed]);
});

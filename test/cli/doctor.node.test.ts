/** `drayage doctor` over broken set-ups: each is found, by name, with what to do. */
import { EventEmitter } from "node:events";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { checkoutFindings, wranglerFindings } from "../../src/cli/doctor/checkout.ts";
import { credentialFindings, nodeFinding, stateFinding } from "../../src/cli/doctor/machine.ts";
import { serviceFindings } from "../../src/cli/doctor/service.ts";
import { run } from "../../src/cli/program.ts";
import { ok, type Finding } from "../../src/doctor/contract.ts";
import { VERSION } from "../../src/registry/user-agent.ts";
import { listen, shut } from "../support/loopback.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "drayage-doctor-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const TOKEN_HASH = `sha256:${"0".repeat(64)}`;
/** The project's own, with a token. */
const GOOD = readFileSync("wrangler.toml", "utf8").replace("TOKENS = []", `TOKENS = ["${TOKEN_HASH}"]`);

function bad(findings: readonly Finding[]): string[] {
  return findings.filter(({ state }) => state === "fail").map(({ name }) => name);
}

describe("a checkout", () => {
  test("of the project, with a token, has what a deploy needs, and names the secrets that cannot be seen", () => {
    const findings = wranglerFindings(GOOD);
    expect(bad(findings)).toEqual([]);
    expect(findings.filter(({ state }) => state === "warn")).toMatchObject([
      { name: "secrets", message: expect.stringMatching(/DOCKER_CONFIG or REGISTRY_CREDENTIALS/) },
    ]);
  });

  test.each<[string, RegExp | string, string, Finding["state"], string, RegExp]>([
    ["no Worker", /^main = .*$/m, "", "fail", "worker", /main or compatibility_date/],
    ["no strict fetch", /^compatibility_flags = .*$/m, "", "fail", "worker", /global_fetch_strictly_public/],
    ["a binding missing", /^.*name = "NOTIFIER".*$/m, "", "fail", "durable objects", /NOTIFIER of the class Notifier/],
    [
      "another class",
      '"INDEX", class_name = "CopyIndex"',
      '"INDEX", class_name = "X"',
      "fail",
      "durable objects",
      /INDEX/,
    ],
    ["no migration", /\{ tag = "v2"[^}]*\},/, "", "fail", "migrations", /makes the class Notifier/],
    [
      "a class without SQLite",
      'tag = "v2", new_sqlite_classes',
      'tag = "v2", new_classes',
      "fail",
      "migrations",
      /without SQLite/,
    ],
    ["one tag twice", 'tag = "v2"', 'tag = "v1"', "fail", "migrations", /same tag/],
    ["no producer", 'binding = "LANES"', 'binding = "OTHER"', "fail", "queue", /LANES is missing/],
    ["no consumer", '{ queue = "drayage-lanes", max', '{ queue = "other", max', "fail", "queue", /Nobody reads/],
    ["large batches", "max_batch_size = 1,", "max_batch_size = 10,", "warn", "queue batches", /share one invocation/],
    ["no dead letters", ', dead_letter_queue = "drayage-lanes-dead"', "", "warn", "dead letters", /vanish/],
    ["no cron", /^crons = .*$/m, "", "warn", "cron", /none/],
    ["addresses in the log", ", invocation_logs = false", "", "warn", "log", /webhooks/],
    ["nobody let in", `TOKENS = ["${TOKEN_HASH}"]`, "TOKENS = []", "fail", "tokens", /Nobody/],
    ["a token instead of its hash", TOKEN_HASH, "drayage_mark", "fail", "settings", /TOKENS\[0\]/],
    ["wrong host settings", "HOSTS = {}", 'HOSTS = { "a.example" = { tls = "x" } }', "fail", "settings", /tls/],
    ["a secret in the file", "HOSTS = {}", 'HOSTS = {}\nDOCKER_CONFIG = "mark"', "fail", "secrets", /for all to read/],
    ["private networks", "HOSTS = {}", 'HOSTS = {}\nLOCAL = "true"', "fail", "reach", /LOCAL/],
    [
      "a receiver on plain HTTP",
      "HOSTS = {}",
      'HOSTS = {}\nNOTIFICATIONS = [{ name = "ops", url = "http://mark.example/" }]',
      "fail",
      "notifications",
      /plain HTTP/,
    ],
    [
      "a receiver whose key must be put",
      "HOSTS = {}",
      'HOSTS = {}\nNOTIFICATIONS = [{ name = "ops", url = "https://hooks.example/" }]',
      "warn",
      "secrets",
      /NOTIFICATION_SECRETS \(keys for ops\)/,
    ],
    ["wrong syntax", "HOSTS = {}", "HOSTS = {", "fail", "wrangler.toml", /syntax at line \d+/],
  ])("with %s", (_name, from, to, state, name, words) => {
    const changed = GOOD.replace(from, to);
    expect(changed).not.toBe(GOOD);
    const findings = wranglerFindings(changed);
    expect(findings).toContainEqual({
      name,
      state,
      message: expect.stringMatching(words),
      fix: expect.stringMatching(/\w/),
    });
    expect(JSON.stringify(findings)).not.toContain("mark.example");
    expect(JSON.stringify(findings)).not.toMatch(/drayage_mark|"mark"/);
  });

  test("that is none is told as such", () => {
    expect(bad(checkoutFindings(folder))).toEqual(["wrangler.toml"]);
  });
});

describe("this machine", () => {
  test.each([
    ["18.20.1", "fail"],
    ["20.0.0", "ok"],
    ["24.3.0", "ok"],
  ])("with Node %s: %s", (version, state) => {
    expect(nodeFinding(version).state).toBe(state);
  });

  test("may not have its state folder yet, but must be able to make it", () => {
    expect(stateFinding(join(folder, "a", "b"))).toMatchObject({
      state: "ok",
      message: expect.stringMatching(/can be made/),
    });
    expect(stateFinding(folder)).toMatchObject({ state: "ok", message: expect.stringMatching(/can be written/) });
    const file = join(folder, "file");
    writeFileSync(file, "", { mode: 0o700 });
    expect(stateFinding(file)).toMatchObject({ state: "fail" });
  });

  /** Docker's file with this text, helpers on a PATH of their own. */
  function credentials(text: string | null, helpers: string[] = []): Finding[] {
    if (text !== null) {
      mkdirSync(join(folder, ".docker"));
      writeFileSync(join(folder, ".docker", "config.json"), text);
    }
    for (const helper of helpers) {
      const path = join(folder, `docker-credential-${helper}`);
      writeFileSync(path, "");
      chmodSync(path, 0o755);
    }
    return credentialFindings({ PATH: `/nowhere:${folder}` }, folder);
  }

  test.each<[string, string | null, string[], [Finding["state"], string][]]>([
    ["no file", null, [], [["warn", "credentials"]]],
    ["a file", '{"auths":{}}', [], [["ok", "credentials"]]],
    ["no JSON", "{mark", [], [["fail", "credentials"]]],
    [
      "helpers that are there",
      '{"credHelpers":{"a.example":"ecr"},"credsStore":"secret"}',
      ["ecr", "secret"],
      [
        ["ok", "credentials"],
        ["ok", "helper"],
        ["ok", "helper"],
      ],
    ],
    [
      "a helper that is not",
      '{"credHelpers":{"a.example":"ecr","b.example":"ecr"}}',
      [],
      [
        ["ok", "credentials"],
        ["fail", "helper"],
      ],
    ],
  ])("with %s of credentials", (_name, text, helpers, expected) => {
    const findings = credentials(text, helpers);
    expect(findings.map(({ state, name }) => [state, name])).toEqual(expected);
    expect(JSON.stringify(findings)).not.toContain("mark");
  });

  test("with a file that was named and is missing", () => {
    expect(bad(credentialFindings({ REGISTRY_AUTH_FILE: join(folder, "none") }))).toEqual(["credentials"]);
  });
});

describe("a service", () => {
  let server: Server;
  afterEach(() => shut(server));

  /** Answers every question like this. */
  async function answering(status: number, body: object): Promise<string> {
    server = createServer((_request, response) => {
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
    });
    return `http://127.0.0.1:${await listen(server)}/`;
  }

  const report = { version: VERSION, findings: [ok("settings", "good")] };

  test.each<[string, number, object, string[], string[]]>([
    ["that is well", 200, report, [], []],
    ["of another version", 200, { ...report, version: "9.9.9" }, [], ["version"]],
    ["that fails something", 200, { ...report, findings: [{ ...ok("queue", ""), state: "fail" }] }, ["queue"], []],
    ["that does not take the token", 401, { detail: "no" }, ["token"], []],
    ["that does not let the token look", 403, { detail: "may not" }, ["token"], []],
    ["that is something else", 404, { detail: "what?" }, ["service"], []],
    ["that answers something else", 200, { hello: "world" }, ["service"], []],
    ["that is configured wrongly", 500, { detail: "HOSTS: wrong" }, ["service"], []],
  ])("%s", async (_name, status, body, fails, warns) => {
    const url = await answering(status, body);
    const { findings } = await serviceFindings({ url, token: "t" }, undefined, AbortSignal.timeout(5_000));
    expect(bad(findings)).toEqual(fails);
    expect(findings.filter(({ state }) => state === "warn").map(({ name }) => name)).toEqual(warns);
  });

  test("that is not there", async () => {
    const url = await answering(200, report);
    await shut(server);
    const { findings } = await serviceFindings({ url, token: null }, undefined, AbortSignal.timeout(5_000));
    expect(findings).toMatchObject([
      { name: "service", state: "fail", message: expect.stringMatching(/cannot be reached/) },
    ]);
  });

  test.each<[string, object, string[], number]>([
    [
      "1 when something fails",
      { ...report, findings: [{ ...ok("queue", "stuck"), state: "fail", fix: "do it" }] },
      [],
      1,
    ],
    ["0 when all is well", report, [], 0],
    ["0 with --json", report, ["--json"], 0],
    ["2 for options that do not go together", report, ["--checkout"], 2],
  ])("the command ends with %s", async (_name, body, options, status) => {
    const server_ = await answering(200, body);
    const [stdout, stderr] = [new PassThrough(), new PassThrough()];
    const io = { env: { DRAYAGE_TOKEN: "t" }, stdout, stderr, stdin: new PassThrough(), signals: new EventEmitter() };
    expect(await run(["doctor", "--server", server_, ...options], io)).toBe(status);
    const printed = String(stdout.read() ?? "");
    if (options.includes("--json")) {
      expect(JSON.parse(printed)).toMatchObject({
        version: VERSION,
        findings: [{ name: "service" }, { name: "settings" }],
      });
    } else if (status !== 2) {
      expect(printed).toMatch(status === 1 ? /fail {2}queue {4}stuck\n +→ do it\n/ : /0 missing or wrong/);
    }
  });
});

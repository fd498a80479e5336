/** `drayage keys` against a plain HTTP server in place of a service: what it sends, what it prints where, its status. */
import { EventEmitter } from "node:events";
import { createServer, type Server } from "node:http";
import { PassThrough } from "node:stream";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { expiryOf } from "../../src/cli/commands/keys.ts";
import { run } from "../../src/cli/program.ts";
import { listen, shut } from "../support/loopback.ts";

interface Asked {
  method: string | undefined;
  url: string | undefined;
  authorization: string | undefined;
  body: unknown;
}

const KEY = {
  id: "key_0000000000000001",
  name: "ci",
  state: "active",
  maker: "root",
  scopes: { sources: ["ghcr.io/acme/**"], targets: ["quay.io/acme/**"], actions: ["copy", "read"] },
  limits: {},
  times: {
    createdAt: "2026-11-24T08:00:00.000Z",
    expiresAt: "2027-02-22T08:00:00.000Z",
    revokedAt: null,
    lastUsedAt: null,
  },
};

let server: Server;
let url = "";
let asked: Asked[] = [];
let answers: { status: number; body: unknown }[] = [];

beforeEach(async () => {
  asked = [];
  server = createServer((request, response) => {
    let text = "";
    request.on("data", (piece: Buffer) => (text += piece.toString("utf8")));
    request.on("end", () => {
      const { method, headers } = request;
      asked.push({
        method,
        url: request.url,
        authorization: headers.authorization,
        body: text === "" ? null : JSON.parse(text),
      });
      const { status, body } = answers[asked.length - 1] ?? { status: 500, body: null };
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
    });
  });
  url = `http://127.0.0.1:${await listen(server)}`;
});

afterEach(() => shut(server));

async function keys(...argv: string[]): Promise<{ status: number; stdout: string; stderr: string }> {
  const stdout = new PassThrough();
  const stderr = new PassThrough();
  const env = { XDG_CONFIG_HOME: "/none", XDG_STATE_HOME: "/none", DRAYAGE_TOKEN: "operator" };
  const status = await run(["keys", ...argv], {
    env,
    stdout,
    stderr,
    stdin: new PassThrough(),
    signals: new EventEmitter(),
  });
  return { status, stdout: String(stdout.read() ?? ""), stderr: String(stderr.read() ?? "") };
}

describe("create", () => {
  test("sends what the options say, and prints the key alone on standard output", async () => {
    answers = [{ status: 201, body: { ...KEY, key: "dry_secret" } }];
    const options = `--source ghcr.io/acme/** --source docker.io/library/* --target quay.io/acme/** --action copy
      --expires 2027-01-31 --at-once 2 --per-hour 50`;
    const ended = await keys("create", "ci", "--server", url, ...options.split(/\s+/));
    expect(ended).toMatchObject({ status: 0, stdout: "dry_secret\n" });
    expect(ended.stderr).toContain("key_0000000000000001 (ci) may copy, read");
    expect(asked).toEqual([
      {
        method: "POST",
        url: "/v1/keys",
        authorization: "Bearer operator",
        body: {
          name: "ci",
          scopes: {
            sources: ["ghcr.io/acme/**", "docker.io/library/*"],
            targets: ["quay.io/acme/**"],
            actions: ["copy"],
          },
          limits: { copiesAtOnce: 2, copiesPerHour: 50 },
          expiresAt: "2027-01-31T23:59:59.000Z",
        },
      },
    ]);
  });

  test("lets copy, see and cancel unless told otherwise, for ever and without limits", async () => {
    answers = [{ status: 201, body: { ...KEY, key: "dry_secret" } }];
    await keys("create", "ci", "--server", url, "--source", "**", "--target", "**");
    expect(asked[0]?.body).toEqual({
      name: "ci",
      scopes: { sources: ["**"], targets: ["**"], actions: ["copy", "read", "cancel"] },
      limits: {},
    });
  });

  test.each([
    ["--source", ["--target", "**"]],
    ["--target", ["--source", "**"]],
  ])("makes no key that may copy without %s, which would be of no use", async (missing, options) => {
    const ended = await keys("create", "ci", "--server", url, ...options);
    expect(ended).toMatchObject({ status: 2, stdout: "" });
    expect(ended.stderr).toContain(`${missing} is missing`);
    expect(asked).toEqual([]);
  });

  test("says what the service says when it refuses, field by field", async () => {
    const detail = 'scopes.sources.0: "x" must name host and repository';
    answers = [{ status: 422, body: { type: "urn:drayage:problem:invalid-request", title: "", status: 422, detail } }];
    const ended = await keys("create", "ci", "--server", url, "--source", "x", "--target", "**");
    expect(ended).toMatchObject({ status: 2, stdout: "" });
    expect(ended.stderr).toContain(detail);
  });

  test.each([
    ["--expires", "soon", "--expires"],
    ["--at-once", "0", "--at-once"],
    ["--per-hour", "many", "--per-hour"],
    ["--server", "here", "not a URL"],
  ])("%s %s ends with 2 and asks nobody", async (option, value, words) => {
    const ended = await keys("create", "ci", "--source", "**", "--target", "**", option, value);
    expect(ended).toMatchObject({ status: 2, stdout: "" });
    expect(ended.stderr).toContain(words);
    expect(asked).toEqual([]);
  });
});

describe("list", () => {
  test("turns the pages, and shows a line for each key", async () => {
    answers = [
      { status: 200, body: { keys: [KEY], next: "key_0000000000000001" } },
      { status: 200, body: { keys: [{ ...KEY, id: "key_0000000000000002", state: "revoked" }], next: null } },
    ];
    const { status, stdout } = await keys("list", "--server", url);
    expect(status).toBe(0);
    expect(asked.map((each) => each.url)).toEqual(["/v1/keys", "/v1/keys?cursor=key_0000000000000001"]);
    expect(stdout.trimEnd().split("\n")).toEqual([
      "ID                    STATE    EXPIRES     USED   ACTIONS    NAME",
      "key_0000000000000001  active   2027-02-22  never  copy,read  ci",
      "key_0000000000000002  revoked  2027-02-22  never  copy,read  ci",
    ]);
  });

  test("with --json is the keys and nothing else; without any that is said aside", async () => {
    answers = [
      { status: 200, body: { keys: [KEY], next: null } },
      { status: 200, body: { keys: [], next: null } },
    ];
    expect(JSON.parse((await keys("list", "--json", "--server", url)).stdout)).toEqual({ keys: [KEY] });
    expect(await keys("list", "--server", url)).toEqual({ status: 0, stdout: "", stderr: "There are no keys.\n" });
  });
});

describe("revoke", () => {
  test("says which key is gone", async () => {
    answers = [{ status: 200, body: { ...KEY, state: "revoked" } }];
    const ended = await keys("revoke", KEY.id, "--server", url);
    expect(ended).toEqual({ status: 0, stdout: "", stderr: `Revoked: ${KEY.id} (ci).\n` });
    expect(asked).toMatchObject([{ method: "DELETE", url: `/v1/keys/${KEY.id}`, body: null }]);
  });

  test("of a key that there is not ends with 2", async () => {
    answers = [{ status: 404, body: { type: "x", title: "", status: 404, detail: "There is no key with this id." } }];
    expect(await keys("revoke", "key_x", "--server", url)).toMatchObject({
      status: 2,
      stderr: "drayage: There is no key with this id.\n",
    });
  });
});

test("what is not this service is said to be so", async () => {
  answers = [{ status: 200, body: "hello" }];
  expect(await keys("list", "--server", url)).toMatchObject({
    status: 1,
    stderr: expect.stringContaining("not drayage"),
  });
});

test.each([
  ["45m", "2026-11-24T08:45:00.000Z"],
  ["12h", "2026-11-24T20:00:00.000Z"],
  ["30d", "2026-12-24T08:00:00.000Z"],
  ["2027-01-31", "2027-01-31T23:59:59.000Z"],
  ["2027-01-31T12:00:00+02:00", "2027-01-31T10:00:00.000Z"],
])("%s is %s", (text, time) => {
  expect(expiryOf(text, Date.parse("2026-11-24T08:00:00Z"))).toBe(time);
});

test.each(["", "30", "d", "0d", "30w", "-1d", "2027-13-01", "2027", "tomorrow"])("%j is no time", (text) => {
  expect(() => expiryOf(text, 0)).toThrow(/is no time/);
});

test.each(["", ".", ".."])("an id that would lead elsewhere in the API is refused: %j", async (id) => {
  expect(await keys("revoke", id, "--server", url)).toMatchObject({ status: 2, stdout: "" });
  expect(asked).toEqual([]);
});

test("an unknown key is told with the command that lists them", async () => {
  const detail = "There is no key with this id; GET /v1/keys lists them.";
  answers = [{ status: 404, body: { type: "urn:x", title: "No", status: 404, detail } }];
  const { stderr } = await keys("revoke", "key_1", "--server", url);
  expect(stderr).toBe("drayage: There is no key with this id; `drayage keys list` lists them.\n");
});

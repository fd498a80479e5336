/** What a file of copies says of registries, beside what its user says; and many copies on a terminal. */
import { PassThrough } from "node:stream";
import { describe, expect, test } from "vitest";
import { plainManyDisplay, quietManyDisplay, terminalManyDisplay } from "../../src/cli/display/many.ts";
import { goTime, unknownTimePart } from "../../src/cli/sync-file/go-time.ts";
import { noLocalSettings } from "../../src/cli/sync-file/contract.ts";
import { withLocalCredentials, withLocalHosts } from "../../src/cli/sync-file/local.ts";
import type { Credential } from "../../src/registry/credentials.ts";
import type { CopyEvent } from "../../src/job/contract.ts";
import { DIGEST, view } from "./views.ts";

const basic = (username: string): Credential => ({ kind: "basic", username, password: "p" });

describe("host settings of a file", () => {
  test("fill in what the user leaves open, whatever name the host has", () => {
    const local = {
      ...noLocalSettings(),
      hosts: { "docker.io": { quota_reserve: 5, req_concurrent: 3 }, "a.example": {} },
    };
    expect(withLocalHosts({ hosts: { "index.docker.io": { req_concurrent: 8 } }, maxWaitSeconds: 1 }, local)).toEqual({
      hosts: { "index.docker.io": { quota_reserve: 5, req_concurrent: 8 }, "a.example": {} },
      maxWaitSeconds: 1,
    });
  });
});

describe("credentials of a file", () => {
  const user = (host: string): Promise<Credential | null> => {
    return Promise.resolve(host === "b.example" ? basic("user") : null);
  };
  const credentials = new Map([
    ["a.example", basic("file")],
    ["a.example/team", basic("team")],
  ]);

  test.each<[string, string, string | null, string | undefined]>([
    ["those of the host", "a.example", "x/y", "file"],
    ["those of the nearest place", "a.example", "team/app", "team"],
    ["the user's for other hosts", "b.example", "x", "user"],
    ["none where nobody has any", "c.example", null, undefined],
  ])("are %s", async (_name, host, repository, expected) => {
    const lookup = withLocalCredentials(user, { ...noLocalSettings(), credentials });
    expect(await lookup(host, repository)).toEqual(expected === undefined ? null : basic(expected));
  });

  test("are the only ones where the file says so", async () => {
    const lookup = withLocalCredentials(user, { ...noLocalSettings(), withoutUserCredentials: true });
    expect(await lookup("b.example", null)).toBeNull();
  });
});

describe("moments in a layout of Go's", () => {
  test.each([
    ["20060102150405", "20260203140506"],
    ["2006-01-02T15:04:05", "2026-02-03T14:05:06"],
    ["Mon Jan 2 3:04PM 06", "Tue Feb 3 2:05PM 26"],
    ["Monday, 02-January", "Tuesday, 03-February"],
    ["v1", "v2"],
    ["plain", "plain"],
    ["Month of Janet", "Month of Janet"],
    ["2006_01_02-0700", "2026_02_03+0000"],
    ["20060102.150405", "20260203.140506"],
  ])("%s gives %s", (layout, expected) => {
    expect(goTime(layout, Date.UTC(2026, 1, 3, 14, 5, 6))).toBe(expected);
    expect(unknownTimePart(layout)).toBeNull();
  });

  test.each([
    ["2006.002", "002"],
    ["150405.000", ".000"],
    ["15:04,9", ",9"],
    ["2006-01-02T15-04-05Z07:00", "Z07"],
    ["15-07:00", "-07"],
    ["-070000", "-07"],
    ["Jan _2", "_2"],
    ["3pm", "pm"],
  ])("of %s %s is not known", (layout, part) => {
    expect(unknownTimePart(layout)).toBe(part);
  });
});

describe("many copies", () => {
  const at = "2026-01-01T00:00:00.000Z";
  const blob = (state: "waiting" | "copied"): CopyEvent => {
    return { seq: 1, at, type: "blob", data: { digest: DIGEST, sizeBytes: 1_000_000, state } };
  };
  const many = view({ tags: { ...view().tags, all: 2 } });
  const failedTag: CopyEvent = {
    seq: 3,
    at,
    type: "tag",
    data: {
      source: "v1",
      target: "v1",
      digest: null,
      derivedDigest: null,
      oldDigest: null,
      state: "failed",
      error: {
        code: "not_found",
        side: "source",
        host: "a.example",
        operation: "read manifest",
        retryable: false,
        message: "there is no v1",
      },
      reason: null,
    },
  };

  test("on a terminal are drawn in place, blobs of the same digest counted for each", async () => {
    const stream = Object.assign(new PassThrough(), { isTTY: true, columns: 100, rows: 24 });
    let nowMs = 0;
    const display = await terminalManyDisplay(stream, { NO_COLOR: "1" }, () => (nowMs += 1_000));
    display.tally({ all: 3, done: 1, failed: 1 });
    display.event(0, view(), blob("waiting"));
    display.event(1, view(), blob("copied"));
    const drawn = String(stream.read());
    expect(drawn).toContain("2/3 copies, 1 failed");
    expect(drawn).toContain("1 MB of 2 MB");
    expect(drawn).toContain("1/2 blobs");
    display.event(0, many, failedTag);
    display.close();
    expect(String(stream.read())).toContain("r.example/alpine:3: failed v1: there is no v1");
  });

  test("elsewhere are lines, of a repository's tags and warnings only", () => {
    const lines: string[] = [];
    const display = plainManyDisplay({ write: (line) => lines.push(line) });
    display.event(0, view(), blob("copied"));
    display.event(0, many, failedTag);
    display.event(0, view(), { seq: 4, at, type: "warning", data: { message: "odd" } });
    display.say("said");
    expect(lines).toEqual([
      "r.example/alpine:3: failed v1: there is no v1\n",
      "warning: r.example/alpine:3: odd\n",
      "said\n",
    ]);
  });

  test("quietly are what went wrong", () => {
    const lines: string[] = [];
    const display = quietManyDisplay({ write: (line) => lines.push(line) });
    display.event(0, many, failedTag);
    display.event(0, view(), { seq: 4, at, type: "warning", data: { message: "odd" } });
    display.say("said");
    display.complain("complained");
    expect(lines).toEqual(["r.example/alpine:3: failed v1: there is no v1\n", "complained\n"]);
  });
});

import { PassThrough } from "node:stream";
import { stripVTControlCharacters } from "node:util";
import { describe, expect, test } from "vitest";
import { canRedraw, plainDisplay, quietDisplay } from "../../src/cli/display/display.ts";
import { duration, progressLines, summaryLine } from "../../src/cli/display/format.ts";
import { apply, newModel, totals, type CopyModel } from "../../src/cli/display/model.ts";
import { failureText, problemText } from "../../src/cli/display/problem-text.ts";
import type { BlobEvent, CopyEvent, TagView } from "../../src/job/contract.ts";
import type { ErrorDetail } from "../../src/registry/errors.ts";
import { DIGEST, SUCCEEDED, view } from "./views.ts";

const AT = "2026-01-01T00:00:00.000Z";
const MB = 1_000_000;

function digest(number: number): string {
  return `sha256:${String(number).padStart(64, "0")}`;
}

function blob(number: number, sizeBytes: number, state: BlobEvent["state"]): CopyEvent {
  return { seq: 1, at: AT, type: "blob", data: { digest: digest(number), sizeBytes, state } };
}

function progress(...blobs: [number, number][]): CopyEvent {
  return {
    seq: 0,
    at: AT,
    type: "progress",
    data: { blobs: blobs.map(([number, bytes]) => ({ digest: digest(number), bytes })) },
  };
}

function modelOf(...events: [number, CopyEvent][]): CopyModel {
  const model = newModel(0);
  for (const [atMs, event] of events) {
    apply(model, event, atMs);
  }
  return model;
}

/** One blob of 10 MB done, one of 100 MB half done after ten seconds at 5 MB/s, one waiting. */
const HALFWAY = modelOf(
  [0, blob(1, 10 * MB, "waiting")],
  [0, blob(2, 100 * MB, "waiting")],
  [0, blob(3, 1_000, "waiting")],
  [0, blob(1, 10 * MB, "present")],
  [5_000, progress([2, 25 * MB])],
  [10_000, progress([2, 50 * MB])],
);

describe("the totals of a copy", () => {
  test("count what was there as done, and measure the speed on what was sent lately", () => {
    expect(totals(HALFWAY, 10_000)).toEqual({
      doneBytes: 60 * MB,
      allBytes: 110 * MB + 1_000,
      doneBlobs: 1,
      allBlobs: 3,
      bytesPerSecond: 5 * MB,
      leftMs: expect.closeTo(10_000.2, 1),
    });
  });

  test("know no speed at first, and a falling one when nothing arrives", () => {
    const model = modelOf([0, blob(1, 10 * MB, "waiting")], [100, progress([1, MB])]);
    expect(totals(model, 100)).toMatchObject({ bytesPerSecond: 0, leftMs: null });
    expect(totals(model, 10_000).bytesPerSecond).toBeCloseTo(MB / 10);
  });

  test("measure no speed on what was sent before a copy was followed", () => {
    const nowMs = 100_000;
    const atMs = (event: CopyEvent, ms: number): CopyEvent => ({ ...event, at: new Date(ms).toISOString() });
    const model = newModel(nowMs);
    const past = [blob(1, 900 * MB, "waiting"), blob(2, 900 * MB, "waiting"), blob(1, 900 * MB, "copied")];
    for (const event of past) {
      apply(model, atMs(event, nowMs - 60_000), nowMs);
    }
    apply(model, atMs(progress([2, 400 * MB]), nowMs + 1_000), nowMs + 1_000);
    expect(totals(model, nowMs + 1_000)).toMatchObject({ doneBytes: 1_300 * MB, bytesPerSecond: 0 });
    apply(model, atMs(progress([2, 405 * MB]), nowMs + 2_000), nowMs + 2_000);
    expect(totals(model, nowMs + 2_000).bytesPerSecond).toBeCloseTo(2.5 * MB);
    apply(model, atMs(blob(2, 900 * MB, "copied"), nowMs + 3_000), nowMs + 3_000);
    expect(totals(model, nowMs + 3_000).bytesPerSecond).toBeCloseTo((500 * MB) / 3);
  });

  test("know no time left while hardly anything has been sent", () => {
    const model = modelOf(
      [0, blob(1, 500, "waiting")],
      [0, blob(2, 500 * MB, "waiting")],
      [500, blob(1, 500, "copied")],
    );
    expect(totals(model, 1_000)).toMatchObject({ bytesPerSecond: 500, leftMs: null });
    apply(model, progress([2, 2 * MB]), 2_000);
    expect(totals(model, 2_000).leftMs).toBeGreaterThan(0);
  });

  test("do not add up all blobs at each event", () => {
    const model = newModel(0);
    const startedAtMs = performance.now();
    for (const state of ["waiting", "copied"] as const) {
      for (let number = 0; number < 40_000; number += 1) {
        apply(model, blob(number, 10, state), Math.floor(number / 100));
      }
    }
    // Some hundredths of a second; added up each time, they take ten.
    expect(performance.now() - startedAtMs).toBeLessThan(3_000);
    expect(model.sentBytes).toBe(400_000);
    expect(model.samples.length).toBeLessThan(1_000);
  });

  test("take back the bytes of a transfer that begins anew", () => {
    const model = modelOf([0, blob(1, 10, "waiting")], [1, progress([1, 9])], [2, progress([1, 2])]);
    expect(totals(model, 3).doneBytes).toBe(2);
  });
});

describe("the display on a terminal", () => {
  const screen = { columns: 80, rows: 24, colour: false };

  test("has a line per blob under way, one for the rest and one for all", () => {
    expect(progressLines(HALFWAY, screen, 10_000)).toEqual([
      "  sha256:000000000000     50 MB of 100 MB    ━━━━━━━━━━──────────   50 %",
      "  … 1 waiting",
      "Total  60 MB of 110 MB 54 %  1/3 blobs  5 MB/s  10 s left",
    ]);
  });

  test("leaves out the bar on a narrow terminal and cuts what is still too long", () => {
    const lines = progressLines(HALFWAY, { columns: 30, rows: 24, colour: false }, 10_000);
    expect(lines[0]).toBe("  sha256:000000000000     50 M");
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(30);
  });

  test("colours without taking room", () => {
    const [line = ""] = progressLines(HALFWAY, { ...screen, colour: true }, 10_000);
    expect(line).toContain("\u001b[36m");
    expect(stripVTControlCharacters(line)).toBe(progressLines(HALFWAY, screen, 10_000)[0]);
  });

  test.each([
    [24, 12, "  … 20 more under way"],
    [10, 8, "  … 24 more under way"],
    [4, 2, "  … 30 more under way"],
    [2, 1, undefined],
  ])("on %i rows takes %i lines", (rows, expected, rest) => {
    const model = newModel(0);
    for (let number = 1; number <= 30; number += 1) {
      apply(model, blob(number, MB, "waiting"), 0);
      apply(model, progress([number, 1_000]), 0);
    }
    const lines = progressLines(model, { ...screen, rows }, 1_000);
    expect(lines).toHaveLength(expected);
    expect(lines.at(-2)).toBe(rest);
  });

  test("says that manifests are being read before any blob is known", () => {
    expect(progressLines(newModel(0), screen, 0)).toEqual(["Reading manifests …"]);
  });
});

describe("the display elsewhere", () => {
  test("writes one line for each thing that has happened, and the summary at the end", () => {
    let text = "";
    const display = plainDisplay({ write: (piece) => (text += piece) }, () => 0);
    display.started(view());
    display.event(blob(1, 1_500_000, "waiting"));
    display.event(progress([1, 10]));
    display.event(blob(1, 1_500_000, "copied"));
    display.event(blob(2, 32, "present"));
    display.event({ seq: 3, at: AT, type: "warning", data: { message: "pull less" } });
    display.ended(SUCCEEDED);
    expect(text.split("\n")).toEqual([
      "copying docker.io/library/alpine:3 → r.example/alpine:3",
      "copied sha256:000000000000 (1.5 MB)",
      "already there sha256:000000000000 (32 B)",
      "warning: pull less",
      summaryLine(SUCCEEDED),
      "",
    ]);
  });

  test("of a dry run says what would be done", () => {
    let text = "";
    const display = plainDisplay({ write: (piece) => (text += piece) }, () => 0);
    display.started(view({ dryRun: true }));
    display.event(blob(1, 1_500_000, "copied"));
    display.event(blob(2, 32, "present"));
    expect(text.split("\n")).toEqual([
      "looking into docker.io/library/alpine:3 → r.example/alpine:3",
      "would copy sha256:000000000000 (1.5 MB)",
      "already there sha256:000000000000 (32 B)",
      "",
    ]);
  });

  test("counts one tag as one", () => {
    let text = "";
    const counts = { all: 1, copied: 0, unchanged: 0, skipped: 0, failed: 0, obsolete: 0, deleted: 0 };
    const display = plainDisplay({ write: (piece) => (text += piece) }, () => 0);
    display.event({ seq: 1, at: AT, type: "tags", data: counts });
    expect(text).toBe("1 tag, 1 of them to be compared\n");
  });

  test("is what a terminal without escape sequences gets", () => {
    const terminal = Object.assign(new PassThrough(), { isTTY: true });
    expect(canRedraw(terminal, { TERM: "dumb" })).toBe(false);
    expect(canRedraw(terminal, { TERM: "xterm" })).toBe(true);
    expect(canRedraw(new PassThrough(), { TERM: "xterm" })).toBe(false);
  });

  test("has no summary for a copy that failed", () => {
    let text = "";
    const display = plainDisplay({ write: (piece) => (text += piece) }, () => 0);
    display.ended(view({ state: "failed" }));
    expect(text).toBe("");
  });
});

test("the summary says what, how much, how and how long", () => {
  expect(summaryLine(SUCCEEDED)).toBe(
    "Copied docker.io/library/alpine:3 → r.example/alpine:3: 3.2 MB, blobs 2 copied, 1 mounted, 2 already there, " +
      `in 1 min 15 s, ${DIGEST}`,
  );
});

test("the summary of a copy that found everything there says so", () => {
  const nothing = {
    ...SUCCEEDED,
    blobs: { all: 0, copied: 0, mounted: 0, present: 0 },
    manifests: { all: 0, copied: 0, present: 1 },
  };
  expect(summaryLine(nothing)).toMatch(/^Nothing to do: .* is the same already/);
});

test("the summary of a repository of which no tag is chosen does not say that all is the same", () => {
  const none = {
    ...SUCCEEDED,
    tags: { ...SUCCEEDED.tags, all: 0, copied: 0 },
    blobs: { all: 0, copied: 0, mounted: 0, present: 0 },
    manifests: { all: 0, copied: 0, present: 0 },
  };
  expect(summaryLine(none)).toMatch(/^Nothing to do: .*, no tag is chosen/);
});

test.each([
  [0, "0.0 s"],
  [9_940, "9.9 s"],
  [9_990, "10 s"],
  [59_400, "59 s"],
  [185_000, "3 min 5 s"],
  [3_840_000, "1 h 4 min"],
])("%i ms are %s", (ms, expected) => {
  expect(duration(ms)).toBe(expected);
});

describe("a repository's copy", () => {
  const NONE = { all: 0, copied: 0, unchanged: 0, skipped: 0, failed: 0, obsolete: 0, deleted: 0 };
  const tag = (source: string, state: TagView["state"], error: ErrorDetail | null = null): CopyEvent => ({
    seq: 1,
    at: AT,
    type: "tag",
    data: {
      source,
      target: `m-${source}`,
      digest: DIGEST,
      derivedDigest: null,
      oldDigest: null,
      state,
      error,
      reason: state === "skipped" && source === "v4" ? "its media type is another" : null,
    },
  });
  const tags: CopyEvent = { seq: 1, at: AT, type: "tags", data: { ...NONE, all: 5, unchanged: 2 } };

  test("shows the count of tags beside the bytes", () => {
    const model = modelOf([0, tags], [1, blob(1, 10 * MB, "waiting")], [2, tag("v1", "copied")]);
    const lines = progressLines(model, { columns: 100, rows: 24, colour: false }, 3);
    expect(lines.at(-1)).toContain("0/1 blobs  3/5 tags");
  });

  test("elsewhere has a line per tag that something was done for, and none per blob; quietly for those that failed", () => {
    const lines: string[] = [];
    const display = plainDisplay({ write: (text) => lines.push(text) }, () => 0);
    const error: ErrorDetail = {
      code: "denied",
      side: "target",
      host: "r.example",
      operation: "write manifest",
      retryable: false,
      message: "not this one",
    };
    const events = [
      tags,
      blob(1, 5, "copied"),
      tag("v1", "copied"),
      tag("v2", "unchanged"),
      tag("v3", "failed", error),
      tag("v4", "skipped"),
      tag("v5", "skipped"),
    ];
    const quietLines: string[] = [];
    const quiet = quietDisplay({ write: (text) => quietLines.push(text) });
    for (const event of events) {
      display.event(event);
      quiet.event(event);
    }
    expect(quietLines).toEqual(["failed v3 → m-v3: not this one\n"]);
    expect(lines).toEqual([
      "5 tags, 3 of them to be compared\n",
      "copied v1 → m-v1 (sha256:0123456789ab)\n",
      "failed v3 → m-v3: not this one\n",
      "skipped v4 → m-v4: its media type is another\n",
    ]);
  });

  test.each([
    ["what was done", {}, /^Copied .*: 5 tags \(2 copied, 2 unchanged, 1 skipped\), 3\.2 MB, /],
    ["what would be done", { dryRun: true }, /^Would copy .*: 5 tags/],
    [
      "nothing to do",
      { blobs: SUCCEEDED.bytes, tags: { ...NONE, all: 5, unchanged: 5 } },
      /^Nothing to do: .* is the same already \(5 tags \(5 unchanged\), /,
    ],
    [
      "nothing but tags that were left alone",
      { tags: { ...NONE, all: 5, skipped: 5 } },
      /^Nothing copied: .* \(5 tags \(5 skipped\), /,
    ],
    ["one image that was left alone", { tags: { ...NONE, all: 1, skipped: 1 } }, /^Nothing copied: .* \(skipped, /],
  ])("sums up %s", (_name, changes, words) => {
    const none = { all: 0, copied: 0, mounted: 0, present: 0 };
    const isNothing = "blobs" in changes;
    const counts = isNothing ? { blobs: none, bytes: none, manifests: none } : {};
    const all = { ...SUCCEEDED, tags: { ...NONE, all: 5, copied: 2, unchanged: 2, skipped: 1 }, ...changes, ...counts };
    expect(summaryLine(all)).toMatch(words);
  });
});

describe("a failure", () => {
  const error: ErrorDetail = {
    code: "denied",
    side: "target",
    host: "r.example",
    operation: "start upload",
    status: 403,
    retryable: false,
    message: "r.example refused the upload with 403: no push rights; log in with an account that has them",
  };

  test("names the copy, the side and what the registry said, once each", () => {
    expect(failureText(view({ state: "failed", error }))).toBe(
      "The copy failed: docker.io/library/alpine:3 → r.example/alpine:3. At the target: r.example refused the upload " +
        "with 403: no push rights; log in with an account that has them.",
    );
  });

  test("adds host and status where the registry's sentence lacks them, and when to try again", () => {
    const bare = { ...error, message: "too many requests", status: 429, retryAt: Date.parse(AT), retryable: true };
    expect(failureText(view({ state: "failed", error: bare }))).toContain(
      `At the target r.example: too many requests. (Status 429.) Try again after ${AT}.`,
    );
  });

  test("of plain HTTP to a server of HTTPS says which setting it is", () => {
    const message = "127.0.0.1:5000 answered 400: Client sent an HTTP request to an HTTPS server.";
    const spoken = { ...error, host: "127.0.0.1:5000", status: 400, message };
    expect(failureText(view({ state: "failed", error: spoken }))).toContain(
      'to an HTTPS server. It speaks HTTPS: set tls = "enabled" in the host settings, under [hosts."127.0.0.1:5000"].',
    );
  });

  test("of the request names every field", () => {
    const errors = [
      { field: "source", message: "is malformed" },
      { field: "", message: "unknown field `sorce`" },
    ];
    const problem = { type: "about:blank", title: "", status: 422, detail: "The request cannot be accepted", errors };
    expect(problemText(problem)).toBe("The request cannot be accepted. source: is malformed. unknown field `sorce`.");
  });

  test("of a cancelled copy says what became of the tag", () => {
    expect(failureText(view({ state: "cancelled" }))).toMatch(/^Cancelled: .* as it was\.$/);
  });
});

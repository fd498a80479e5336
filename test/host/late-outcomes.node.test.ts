/** What a host learns of answers that come late, and whom it holds back after them. */
import { describe, expect, test } from "vitest";
import { RecordedHost } from "./recorded-host.ts";

/** How long a client waits for an answer's headers (`registry/requester.ts`), and again for its body (`registry/body.ts`). */
const ANSWER_MS = 60_000;

describe("a small request that its registry does not answer in time", () => {
  test.each([
    ["nothing of the answer came", ANSWER_MS + 50],
    ["its body did not end", 2 * ANSWER_MS + 50],
  ])("pauses the host: %s", (_name, afterMs) => {
    const host = new RecordedHost();
    host.joinJob("j");
    host.request("slow");
    host.pass(afterMs);
    host.release("slow", { class: "failed" });
    host.request("next");
    expect(host.admitted).toEqual(["slow"]);
    host.pass(1_000);
    expect(host.admitted).toEqual(["slow", "next"]);
  });

  test("has its slot until then", () => {
    const host = new RecordedHost({ reqConcurrent: 1 });
    host.joinJob("j");
    host.request("slow");
    host.request("next");
    host.pass(2 * ANSWER_MS);
    expect(host.admitted).toEqual(["slow"]);
  });
});

describe("a pause that begins while a blob keeps its slot here and waits for one at its source", () => {
  function pausedHolder(): RecordedHost {
    const host = new RecordedHost({ maxWaitMs: 1_000 });
    host.joinLane("lane", 1);
    host.joinJob("j");
    host.offer("starving", { sourceHost: "there", since: host.now - 10_000 });
    host.answer({ queued: true });
    host.request("refused");
    host.release("refused", { class: "throttled", retryAfterMs: 3_000 });
    return host;
  }

  test("holds for it too: the source's slot is given back", () => {
    const host = pausedHolder();
    const [asked] = host.asked;
    expect(host.scheduler.lent(asked?.request.id ?? "", host.now)).toBe("full");
    expect(host.transfers).toEqual([]);
  });

  test("and no longer: it asks again after that, and goes", () => {
    const host = pausedHolder();
    const [asked] = host.asked;
    host.scheduler.lent(asked?.request.id ?? "", host.now);
    host.pass(3_000);
    const again = host.asked.at(-1);
    expect(again?.request.id).not.toBe(asked?.request.id);
    host.answer({ lease: "at the source" }, again);
    expect(host.transfers).toHaveLength(1);
  });
});

describe("a registry that asks to be left alone for longer than anyone should wait", () => {
  test.each(["queued there", "kept a slot for here"])("fails the blob that waits at its source, %s", (how) => {
    const host = new RecordedHost({ maxWaitMs: 1_000 });
    host.joinLane("lane", 2);
    const { id } = host.offer("blob", {
      sourceHost: "there",
      since: host.now - (how === "queued there" ? 0 : 10_000),
    });
    host.answer({ queued: true });
    host.request("refused");
    host.release("refused", { class: "throttled", retryAfterMs: 3_600_000 });
    host.pass(0);
    expect(host.settled).toMatchObject([{ id, outcome: "failed", error: { code: "rate_limited" } }]);
    expect(host.givenBack).toMatchObject([{ source: "there", id: host.asked[0]?.request.id }]);
    expect(host.scheduler.waiting().waiting.blob).toBe(0);
  });
});

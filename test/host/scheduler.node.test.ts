import { describe, expect, test } from "vitest";
import { MAX_TELLS, TELL_AGAIN_MS } from "../../src/host/transfers.ts";
import { RecordedHost } from "./recorded-host.ts";

const HOUR_MS = 3_600_000;

describe("while the quota is below its reserve", () => {
  const WINDOW_SECONDS = 100;
  const WINDOW_MS = WINDOW_SECONDS * 1000;

  /** A host that has just answered with so many requests left, of which ten are to be kept back. */
  function hostWith(remaining: number): RecordedHost {
    const host = new RecordedHost({ quotaReserve: 10 });
    host.joinJob("j");
    host.request("first");
    host.release("first", { class: "ok", quota: { limit: 100, remaining, windowSeconds: WINDOW_SECONDS } });
    host.admitted.length = 0;
    return host;
  }

  /** Somebody's request comes back with so many requests left. */
  function shows(host: RecordedHost, remaining: number): void {
    host.request("shows");
    host.release("shows", { class: "ok", quota: { limit: 100, remaining } });
  }

  test.each([
    [9, []],
    [10, ["background"]],
  ])("with %i left of which 10 are kept back, background requests admitted: %j", (remaining, admitted) => {
    const host = hostWith(remaining);
    host.request("background", { background: true });
    expect(host.admitted).toEqual(admitted);
    host.request("normal");
    expect(host.admitted).toEqual([...admitted, "normal"]);
  });

  test("a background request waits until the window's end and no longer, however late it came", () => {
    const host = hostWith(0);
    host.pass(WINDOW_MS / 2);
    host.request("background", { background: true });
    host.pass(WINDOW_MS / 2 - 1);
    expect(host.admitted).toEqual([]);
    host.pass(1);
    expect(host.admitted).toEqual(["background"]);
  });

  test("an answer that shows more lets it go at once", () => {
    const host = hostWith(0);
    host.request("background", { background: true });
    shows(host, 9);
    expect(host.admitted).toEqual(["shows"]);
    shows(host, 50);
    expect(host.admitted).toEqual(["shows", "shows", "background"]);
  });

  test("one that shows less while it waits for a slot holds it back after all", () => {
    const host = new RecordedHost({ quotaReserve: 10, reqConcurrent: 1 });
    host.joinJob("j");
    host.request("a");
    host.request("background", { background: true });
    expect(host.scheduler.waiting()).toMatchObject({ waiting: { head: 1 }, heldBack: 0 });
    host.release("a", { class: "ok", quota: { limit: 100, remaining: 3 } });
    expect(host.admitted).toEqual(["a"]);
    expect(host.scheduler.waiting()).toMatchObject({ waiting: { head: 1 }, heldBack: 1 });
  });

  test("a background blob takes no slot and sends for no lane; a normal one does both", () => {
    const host = hostWith(0);
    host.joinLane("lane", 1);
    host.offer("background", { background: true });
    expect([host.transfers, host.ordered]).toEqual([[], []]);
    expect(host.scheduler.waiting()).toMatchObject({ waiting: { blob: 1 }, heldBack: 1 });
    const normal = host.offer("normal", { job: "other" });
    expect(host.transfers.map(({ offer }) => offer.id)).toEqual([normal.id]);
    expect(host.ordered).toEqual([]);
  });

  test("the lane that had come is sent home, and one is sent for when the time is over", () => {
    const host = hostWith(0);
    host.joinLane("lane", 1);
    host.offer("background", { background: true });
    host.pass(WINDOW_MS - 1);
    expect(host.sentHome).toHaveLength(1);
    expect(host.ordered).toEqual([]);
    host.pass(1);
    expect(host.ordered).toHaveLength(1);
    host.joinLane("next", 1);
    expect(host.transfers).toHaveLength(1);
  });

  test("another host's background blob waits for a slot here, and its owner is told that this takes long", () => {
    const host = hostWith(0);
    expect(host.borrow("loan", { background: true })).toEqual({ queued: true, heldBack: true });
    expect(host.borrow("normal")).toHaveProperty("lease");
    expect(host.lent).toEqual([]);
    host.pass(WINDOW_MS);
    expect(host.lent.map(({ id }) => id)).toEqual(["loan"]);
  });

  test("a blob that its source holds back keeps no slot here, even after the longest wait", () => {
    const host = new RecordedHost({ reqConcurrent: 1, maxWaitMs: 1000 });
    host.joinLane("lane", 1);
    host.offer("background", { background: true, sourceHost: "there", since: host.now - HOUR_MS });
    const [asked] = host.asked;
    expect(asked?.request).toMatchObject({ background: true, starving: true });
    host.scheduler.borrowed(asked?.request.id ?? "", { queued: true, heldBack: true }, host.now);
    const local = host.offer("local", { job: "other" });
    expect(host.transfers.map(({ offer }) => offer.id)).toEqual([local.id]);
    expect(host.scheduler.waiting()).toMatchObject({ waiting: { blob: 1 }, heldBack: 1 });
  });

  test("a blob that may go any time at its source does keep one: the contrast to the case above", () => {
    const host = new RecordedHost({ reqConcurrent: 1, maxWaitMs: 1000 });
    host.joinLane("lane", 1);
    host.offer("starving", { sourceHost: "there", since: host.now - HOUR_MS });
    host.scheduler.borrowed(host.asked[0]?.request.id ?? "", { queued: true }, host.now);
    host.offer("local", { job: "other" });
    expect(host.transfers).toEqual([]);
  });

  test("each copy is told once in a time of holding back, and again in the next", () => {
    const host = hostWith(0);
    host.request("a", { background: true });
    host.request("b", { background: true });
    host.request("c", { session: "k", background: true });
    expect(host.toldHeldBack).toEqual(["j", "k"]);
    host.pass(WINDOW_MS);
    shows(host, 0);
    host.request("d", { background: true });
    expect(host.toldHeldBack).toEqual(["j", "k", "j"]);
  });

  test("who leaves or withdraws meanwhile is not let go afterwards", () => {
    const host = hostWith(0);
    host.request("gone", { session: "k", background: true });
    host.offer("gone", { job: "l", background: true });
    host.scheduler.leave("k", host.now);
    host.scheduler.withdraw("l", host.now);
    expect(host.scheduler.waiting()).toMatchObject({ waiting: { head: 0, blob: 0 }, heldBack: 0 });
    expect(host.refused.map(({ id }) => id)).toEqual(["gone"]);
    host.pass(WINDOW_MS);
    expect([host.admitted, host.ordered]).toEqual([[], []]);
  });

  test("forgetting the quota lets everybody go", () => {
    const host = hostWith(0);
    host.request("background", { background: true });
    host.limits.forget();
    host.scheduler.tick(host.now);
    expect(host.admitted).toEqual(["background"]);
  });
});

describe("the end of a blob", () => {
  function ended(): { host: RecordedHost; id: string } {
    const host = new RecordedHost();
    host.joinLane("lane", 1);
    const { id } = host.offer("a");
    for (const transfer of host.transfers) {
      host.report(transfer);
    }
    expect(host.settled.map((settlement) => settlement.id)).toEqual([id]);
    return { host, id };
  }

  test("is told once to a job that acknowledges it, and the host comes to rest", () => {
    const { host, id } = ended();
    host.scheduler.acknowledged([id]);
    host.pass(HOUR_MS);
    expect(host.settled).toHaveLength(1);
    expect(host.offers.size).toBe(0);
    expect(host.scheduler.nextTickAtMs(host.now)).toBeUndefined();
  });

  test("is told again to a job that does not, ever less often, and at last forgotten", () => {
    const { host } = ended();
    host.pass(4 * TELL_AGAIN_MS);
    expect(host.settled).toHaveLength(2);
    host.pass(HOUR_MS);
    expect(host.settled).toHaveLength(MAX_TELLS);
    expect(host.offers.size).toBe(0);
    expect(host.scheduler.nextTickAtMs(host.now)).toBeUndefined();
  });

  test("is told at once to a job that offers the blob again, and is not copied twice", () => {
    const { host } = ended();
    host.seat("lane");
    host.offer("a");
    expect(host.settled).toHaveLength(2);
    expect(host.transfers).toHaveLength(1);
  });
});

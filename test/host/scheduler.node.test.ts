import { describe, expect, test } from "vitest";
import type { Policy } from "../../src/host/policy.ts";
import { LEASE_MS } from "../../src/host/leases.ts";
import { LANE_PATIENCE_MS, LANE_WIDTH } from "../../src/host/seats.ts";
import { MAX_CUTS } from "../../src/host/tries.ts";
import { MAX_TELLS, TELL_AGAIN_MS } from "../../src/host/endings.ts";
import { carryCalls, RecordedHost } from "./recorded-host.ts";

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
    host.answer({ queued: true, heldBack: true });
    const local = host.offer("local", { job: "other" });
    expect(host.transfers.map(({ offer }) => offer.id)).toEqual([local.id]);
    expect(host.scheduler.waiting()).toMatchObject({ waiting: { blob: 1 }, heldBack: 1 });
  });

  test("a blob that may go any time at its source does keep one: the contrast to the case above", () => {
    const host = new RecordedHost({ reqConcurrent: 1, maxWaitMs: 1000 });
    host.joinLane("lane", 1);
    host.offer("starving", { sourceHost: "there", since: host.now - HOUR_MS });
    host.answer({ queued: true });
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
    const tellings = [1, 2, 4].map((times) => {
      host.pass(times * TELL_AGAIN_MS);
      return host.settled.length;
    });
    expect(tellings).toEqual([2, 3, 4]);
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

describe("who gets a slot", () => {
  /** One slot in all, taken by "first". */
  function fullHost(options: ConstructorParameters<typeof RecordedHost>[0] = {}): RecordedHost {
    const host = new RecordedHost({ reqConcurrent: 1, ...options });
    host.request("first");
    expect(host.admitted).toEqual(["first"]);
    host.admitted.length = 0;
    return host;
  }

  test("a host that is not in use grants at once, without any configuration", () => {
    const host = new RecordedHost();
    host.request("a");
    host.joinLane("lane", 1);
    host.offer("b");
    expect(host.admitted).toEqual(["a"]);
    expect(host.transfers).toHaveLength(1);
    expect(host.borrow("c")).toHaveProperty("lease");
  });

  test.each([1, 2, 5])("of %i slots, one request more waits until one is given back", (slots) => {
    const host = new RecordedHost({ reqConcurrent: slots });
    const ids = Array.from({ length: slots + 1 }, (_, i) => `r${i}`);
    ids.forEach((id) => host.request(id));
    expect(host.admitted).toEqual(ids.slice(0, slots));
    host.pass(30_000);
    expect(host.admitted).toEqual(ids.slice(0, slots));
    host.release("r0");
    expect(host.admitted).toEqual(ids);
  });

  test("a slot given back goes by the policy's order, not by arrival", () => {
    const host = fullHost();
    host.request("query", { kind: "query" });
    host.request("manifest", { kind: "manifest" });
    host.request("head", { kind: "head" });
    for (const id of ["first", "head", "manifest"]) {
      host.release(id);
    }
    expect(host.admitted).toEqual(["head", "manifest", "query"]);
  });

  test("a wait that is broken off ends with an error and holds nothing", () => {
    const host = fullHost();
    host.request("gone", { session: "k" });
    host.scheduler.leave("k", host.now);
    expect(host.refused).toMatchObject([{ id: "gone", error: { code: "cancelled" } }]);
    host.release("first");
    expect(host.admitted).toEqual([]);
    expect([...host.leases.keys()]).toEqual([]);
    host.request("next");
    expect(host.admitted).toEqual(["next"]);
  });

  test("another host that asks while all is taken hears so at once, without an error, and keeps its place", () => {
    const host = fullHost();
    expect(host.borrow("loan")).toEqual({ queued: true });
    expect(host.borrow("loan")).toEqual({ queued: true });
    expect(host.leases.size).toBe(1);
    host.release("first");
    expect(host.lent).toMatchObject([{ borrower: "there", id: "loan" }]);
  });

  test.each([
    ["first", "a", ["b", "c"]],
    ["middle", "b", ["a", "c"]],
    ["last", "c", ["a", "b"]],
  ])("when the %s of three that wait leaves, the others are served", (_name, gone, served) => {
    const host = fullHost();
    ["a", "b", "c"].forEach((id) => host.request(id, { session: id }));
    host.scheduler.leave(gone, host.now);
    host.release("first");
    host.release(served[0] ?? "");
    expect(host.admitted).toEqual(served);
  });

  test("a caller that leaves just as its slot comes passes it on", () => {
    const host = fullHost();
    host.request("a", { session: "a" });
    host.request("b", { session: "b" });
    host.release("first");
    expect(host.admitted).toEqual(["a"]);
    host.scheduler.leave("a", host.now);
    expect(host.admitted).toEqual(["a", "b"]);
  });

  test("a slot that comes for a loan whose borrower has no use for it any more is passed on", () => {
    const host = fullHost();
    host.borrow("gone");
    host.request("next", { kind: "query" });
    host.release("first");
    host.release("next");
    expect(host.lent.map(({ id }) => id)).toEqual(["gone"]);
    host.request("after");
    expect(host.admitted).toEqual(["next"]);
    host.scheduler.lentAnswered("there", "gone", "unwanted", host.now);
    expect(host.admitted).toEqual(["next", "after"]);
  });

  test.each<[string, Policy]>([
    ["names nobody", () => undefined],
    ["names somebody who does not wait", () => ({ id: "stranger", kind: "head", bytes: 0, job: "x", since: 0 })],
  ])("a policy that %s: the oldest goes", (_name, policy) => {
    const host = fullHost({ policy });
    host.request("a");
    host.pass(1);
    host.request("b");
    host.release("first");
    host.release("a");
    expect(host.admitted).toEqual(["a", "b"]);
    expect([...host.leases.keys()]).toEqual(["b"]);
  });

  test("giving a slot back twice frees one", () => {
    const host = new RecordedHost({ reqConcurrent: 2 });
    ["a", "b", "c", "d"].forEach((id) => host.request(id));
    host.release("a");
    host.release("a");
    expect(host.admitted).toEqual(["a", "b", "c"]);
  });

  test("so does reporting a transfer twice, or giving a loan back twice", () => {
    const host = new RecordedHost({ reqConcurrent: 2 });
    host.joinLane("lane", 1);
    host.offer("blob", { sourceHost: "there" });
    host.answer({ lease: "x" });
    host.borrow("loan");
    ["a", "b", "c", "d"].forEach((id) => host.request(id));
    const [transfer] = host.transfers;
    expect(transfer).toBeDefined();
    if (transfer !== undefined) {
      host.report(transfer);
      host.report(transfer);
    }
    expect(host.admitted).toEqual(["a"]);
    expect(host.givenBack).toHaveLength(1);
    host.giveBack("loan");
    host.giveBack("loan");
    expect(host.admitted).toEqual(["a", "b"]);
  });
});

describe("a transfer that needs two hosts", () => {
  /** Two hosts with one slot each, and a lane at either with seats enough. */
  function pair(maxWaitMs?: number): { a: RecordedHost; b: RecordedHost } {
    const options = { reqConcurrent: 1, ...(maxWaitMs === undefined ? {} : { maxWaitMs }) };
    const a = new RecordedHost({ ...options, host: "a" });
    const b = new RecordedHost({ ...options, host: "b" });
    a.joinLane("lane-a", 5);
    b.joinLane("lane-b", 5);
    return { a, b };
  }

  test("within one host needs one slot, once", () => {
    const { a } = pair();
    a.offer("blob");
    expect(a.transfers).toHaveLength(1);
    expect(a.asked).toEqual([]);
    expect(a.leases.size).toBe(1);
  });

  test("takes one at each, shuts others out meanwhile, and gives both back", () => {
    const { a, b } = pair();
    b.offer("blob", { sourceHost: "a" });
    carryCalls(a, b);
    a.request("at-a");
    b.request("at-b");
    expect([a.leases.size, b.leases.size, a.admitted, b.admitted]).toEqual([1, 1, [], []]);
    for (const transfer of b.transfers) {
      b.report(transfer);
    }
    carryCalls(a, b);
    expect([a.admitted, b.admitted]).toEqual([["at-a"], ["at-b"]]);
  });

  test.each([
    ["at the source", ["a"]],
    ["at the target", ["b"]],
    ["at both, the source first", ["a", "b"]],
    ["at both, the target first", ["b", "a"]],
  ])("that finds no slot %s starts when the last is free, and holds none until then", (_name, blocked) => {
    const { a, b } = pair();
    const hosts = [a, b];
    hosts.filter(({ host }) => blocked.includes(host)).forEach((host) => host.request("block"));
    b.offer("blob", { sourceHost: "a" });
    carryCalls(a, b);
    for (const name of blocked) {
      expect(b.transfers).toEqual([]);
      for (const other of hosts.filter(({ host }) => !blocked.includes(host))) {
        other.request("passes");
        expect(other.admitted).toEqual(["passes"]);
        other.release("passes");
        other.admitted.length = 0;
        carryCalls(a, b);
      }
      hosts.find(({ host }) => host === name)?.release("block");
      carryCalls(a, b);
    }
    expect(b.transfers).toHaveLength(1);
    expect([a.leases.size, b.leases.size]).toEqual([1, 1]);
  });

  test.each([
    ["at the source", ["a"]],
    ["at the target", ["b"]],
    ["at both", ["a", "b"]],
  ])("that is withdrawn while it waits %s leaves both free for the next", (_name, blocked) => {
    const { a, b } = pair();
    const full = [a, b].filter(({ host }) => blocked.includes(host));
    full.forEach((host) => host.request("block"));
    b.offer("blob", { sourceHost: "a" });
    b.offer("next", { job: "other", sourceHost: "a" });
    carryCalls(a, b);
    b.scheduler.withdraw("j", b.now);
    carryCalls(a, b);
    full.forEach((host) => host.release("block"));
    carryCalls(a, b);
    expect(b.transfers.map(({ offer }) => offer.digest)).toEqual(["next"]);
    expect([a.leases.size, b.leases.size]).toEqual([1, 1]);
    expect(a.scheduler.waiting().waiting.blob).toBe(0);
  });

  test("that is withdrawn while its source's slot is on its way to it passes the slot on", () => {
    const { a, b } = pair();
    a.request("block");
    b.offer("blob", { sourceHost: "a" });
    carryCalls(a, b);
    a.request("next", { kind: "query" });
    a.release("block");
    a.release("next");
    expect(a.lent).toHaveLength(1);
    b.scheduler.withdraw("j", b.now);
    carryCalls(a, b);
    expect(b.transfers).toEqual([]);
    expect(a.leases.size).toBe(0);
  });

  test("from A to B and from B to A at once: each goes, none waits for the other for ever", () => {
    const { a, b } = pair(1_000);
    for (let i = 0; i < 10; i++) {
      a.offer(`to-a-${i}`, { job: `a${i}`, sourceHost: "b" });
      b.offer(`to-b-${i}`, { job: `b${i}`, sourceHost: "a" });
    }
    const done = new Set<string>();
    // Less time than it takes until anybody asks again: a circle of two that keep slots for each other would last longer.
    for (let round = 0; round < 100; round++) {
      carryCalls(a, b);
      for (const host of [a, b]) {
        expect(host.leases.size).toBeLessThanOrEqual(1);
        for (const { transfer } of host.handed.splice(0)) {
          if (transfer !== null) {
            expect(done).not.toContain(transfer.offer.id);
            done.add(transfer.offer.id);
            host.report(transfer);
            host.seat(`lane-${host.host}`);
          }
        }
        host.ordered.splice(0).forEach((lane) => host.joinLane(lane, 5));
        host.scheduler.acknowledged(host.settled.splice(0).map(({ id }) => id));
        host.pass(100);
      }
    }
    expect(done.size).toBe(20);
    expect([a.leases.size, b.leases.size]).toEqual([0, 0]);
  });
});

describe("a lane at a host that pauses", () => {
  /** A lane with one transfer under way and one seat free is told by the host to leave it alone for a while. */
  function paused(retryAfterMs: number): RecordedHost {
    const host = new RecordedHost();
    host.joinLane("lane", 2);
    host.offer("blob");
    host.offer("waits", { job: "k", sizeBytes: 1 });
    const [first, second] = host.transfers;
    expect([first, second].map((transfer) => transfer?.attempt)).toEqual([1, 1]);
    host.seat("lane");
    for (const transfer of [first, second]) {
      if (transfer !== undefined) {
        host.report(transfer, { result: { kind: "returned" }, bytes: 0, target: { class: "failed", retryAfterMs } });
      }
    }
    host.handed.length = 0;
    return host;
  }

  test("for no longer than it will wait goes on when the pause is over", () => {
    const host = paused(LANE_PATIENCE_MS);
    host.pass(LANE_PATIENCE_MS - 1);
    expect(host.handed).toEqual([]);
    host.pass(1);
    expect([host.transfers.length, host.sentHome]).toEqual([1, []]);
  });

  test("for longer is sent home; another is sent for when the pause is over and gets the blobs, at no cost", () => {
    const pauseMs = 4 * LANE_PATIENCE_MS;
    const host = paused(pauseMs);
    host.seat("lane");
    expect(host.sentHome.length).toBeGreaterThan(0);
    expect(host.transfers).toEqual([]);
    host.scheduler.leave("lane", host.now);
    host.ordered.length = 0;
    host.pass(pauseMs - 1);
    expect(host.ordered).toEqual([]);
    host.pass(1);
    expect(host.ordered).toHaveLength(1);
    host.joinLane(host.ordered[0] ?? "", 5);
    expect(host.transfers.map(({ attempt }) => attempt)).toEqual([1]);
    // The first was not refused: the other follows.
    host.pass(2_000);
    expect(host.transfers.map(({ attempt }) => attempt)).toEqual([1, 1]);
    expect([...host.offers.values()].map(({ attempts }) => attempts)).toEqual([0, 0]);
  });
});

describe("lanes that are sent for", () => {
  /** Seven blobs wait, and two lanes are on their way to them. */
  function expecting(): RecordedHost {
    const host = new RecordedHost();
    for (let blob = 0; blob < 7; blob++) {
      host.offer(`blob${blob}`);
    }
    expect(host.ordered).toHaveLength(2);
    return host;
  }

  test("are not sent for again when they have come and not asked for anything yet", () => {
    const host = expecting();
    for (const lane of host.ordered) {
      host.scheduler.join(lane, { name: lane, width: LANE_WIDTH, held: [] }, host.now);
    }
    host.seat(host.ordered[0] ?? "");
    expect(host.ordered).toHaveLength(2);
  });

  test("count for no more than they can still take on", () => {
    const host = expecting();
    const [lane = ""] = host.ordered;
    const held = ["held", "held too", "and this"].map((lease) => ({ lease, kind: "head" as const, bytes: 0 }));
    host.scheduler.join(lane, { name: lane, width: LANE_WIDTH, held }, host.now);
    expect(host.ordered).toHaveLength(2);
    host.offer("another");
    expect(host.ordered).toHaveLength(3);
  });

  test("are replaced when they ask for nothing, or are gone", () => {
    const silent = expecting();
    for (const lane of silent.ordered) {
      silent.scheduler.join(lane, { name: lane, width: LANE_WIDTH, held: [] }, silent.now);
    }
    silent.pass(999);
    silent.scheduler.tick(silent.now);
    expect(silent.ordered).toHaveLength(2);
    silent.pass(1);
    silent.scheduler.tick(silent.now);
    expect(silent.ordered).toHaveLength(4);
    const gone = expecting();
    const [lane = ""] = gone.ordered;
    gone.scheduler.join(lane, { name: lane, width: LANE_WIDTH, held: [] }, gone.now);
    gone.scheduler.leave(lane, gone.now);
    expect(gone.ordered).toHaveLength(3);
  });
});

describe("the same blob for several jobs", () => {
  test("moves once also after the first of them has gone: one of the others goes on, the rest wait for it", () => {
    const host = new RecordedHost({ reqConcurrent: 4 });
    ["a", "b", "c"].forEach((job) => host.offer("blob", { job }));
    host.scheduler.withdraw("a", host.now);
    host.joinLane("lane", 4);
    expect(host.transfers.map(({ job }) => job)).toEqual(["b"]);
    for (const transfer of host.transfers) {
      host.report(transfer);
    }
    expect(host.settled.map(({ id, outcome }) => [id, outcome])).toEqual([
      ["b/app@blob", "copied"],
      ["c/app@blob", "present"],
    ]);
  });

  test("an answer from before a restart does not end an offer that has begun anew", () => {
    const host = new RecordedHost({ reqConcurrent: 1 });
    const { id } = host.offer("blob", { sourceHost: "there" });
    host.joinLane("lane", 1);
    host.scheduler.acknowledged([id]);
    expect(host.offers.size).toBe(1);
    host.answer({ lease: "x" });
    expect(host.transfers).toHaveLength(1);
  });

  test("a blob that was offered before a restart is looked for before it is sent: it may have arrived", () => {
    const host = new RecordedHost({ reqConcurrent: 1 });
    host.offer("blob");
    host.joinLane("lane", 1);
    const [before] = host.transfers;
    expect(before?.offer.mayExist).toBe(false);
    host.restart();
    host.joinLane("lane", 1);
    expect(host.transfers.at(-1)?.offer).toMatchObject({ id: before?.offer.id, mayExist: true });
  });
});

describe("a lane that nobody has heard of for a whole lease", () => {
  function twoBlobs(): RecordedHost {
    const host = new RecordedHost({ reqConcurrent: 1 });
    host.joinLane("silent", 2);
    host.offer("a");
    host.offer("b");
    return host;
  }

  test("is given up with all its seats: the next blobs go to another", () => {
    const host = twoBlobs();
    host.pass(LEASE_MS);
    expect(host.sentHome.filter((seat) => seat.startsWith("silent"))).toHaveLength(1);
    host.joinLane("other", 2);
    expect(host.handed.filter(({ seat, transfer }) => transfer !== null && seat.startsWith("silent"))).toHaveLength(1);
    expect(host.handed.at(-1)?.seat).toMatch(/^other/);
  });

  test("is sent home when it lives after all and asks for more", () => {
    const host = twoBlobs();
    host.pass(LEASE_MS);
    host.handed.length = 0;
    host.seat("silent");
    expect(host.handed).toMatchObject([{ transfer: null }]);
  });

  test("is not one that renews what it has", () => {
    const host = twoBlobs();
    const [transfer] = host.transfers;
    for (let passedMs = 0; passedMs < 3 * LEASE_MS; passedMs += LEASE_MS / 3) {
      host.pass(LEASE_MS / 3);
      host.scheduler.renew("silent", [{ lease: transfer?.lease ?? "", bytes: 1 }], host.now);
    }
    expect(host.sentHome).toEqual([]);
    expect(host.transfers).toHaveLength(1);
  });
});

describe("a blob whose lanes die under it", () => {
  /** So many lanes in a row take it and die, with a restart of the host in between. */
  function killLanes(host: RecordedHost, count: number): void {
    for (let lane = 1; lane <= count; lane++) {
      host.joinLane(`l${lane}`, 1);
      host.scheduler.leave(`l${lane}`, host.now);
      host.tidy();
      host.restart();
    }
  }

  test("goes on for longer than one that fails: deploys and evictions say little of it", () => {
    const host = new RecordedHost();
    host.offer("a");
    killLanes(host, MAX_CUTS - 1);
    expect(host.settled).toEqual([]);
    host.joinLane("last", 1);
    const [transfer] = host.transfers.slice(-1);
    expect(transfer).toMatchObject({ attempt: MAX_CUTS, offer: { mayExist: true } });
  });

  test("does not kill them for ever", () => {
    const host = new RecordedHost();
    host.offer("a");
    killLanes(host, MAX_CUTS);
    expect(host.settled[0]).toMatchObject({ outcome: "failed", error: { side: "service", code: "internal" } });
    expect(host.settled[0]?.error?.message).toContain(`cut off ${MAX_CUTS} times`);
  });
});

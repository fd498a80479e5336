/** What a host writes down of its slots, and how it comes to know of them again after a restart. */
import { describe, expect, test } from "vitest";
import { START_LIMIT } from "../../src/host/concurrency.ts";
import { LEASE_MS, REJOIN_MS } from "../../src/host/leases.ts";
import { LANE_WIDTH } from "../../src/host/seats.ts";
import { RecordedHost } from "./recorded-host.ts";

describe("what is written down", () => {
  test("is one row for a lane, however many blobs it moves, and none once it has gone", () => {
    const host = new RecordedHost();
    host.joinLane("lane", LANE_WIDTH);
    const written: number[] = [];
    for (let blob = 0; blob < 20; blob++) {
      host.offer(`blob${blob}`);
      host.report(host.transfers.at(-1) ?? expect.fail("no transfer"));
      host.seat("lane");
      written.push(host.owners.size);
    }
    expect(new Set(written)).toEqual(new Set([1]));
    expect([...host.owners]).toEqual([["lane/lane", LANE_WIDTH]]);
    host.scheduler.leave("lane", host.now);
    host.tidy();
    expect(host.owners.size).toBe(0);
  });

  test("is never less than an owner has", () => {
    const host = new RecordedHost();
    for (let id = 1; id <= START_LIMIT; id++) {
      host.borrow(`loan-${id}#1.1`);
      expect(host.owners.get("host/there")).toBeGreaterThanOrEqual(host.leases.size);
    }
    expect(host.leases.size).toBe(START_LIMIT);
    expect(START_LIMIT).toBeGreaterThan(LANE_WIDTH);
  });
});

describe("a source that was restarted", () => {
  /** Two slots, both lent. */
  function lending(): RecordedHost {
    const host = new RecordedHost({ reqConcurrent: 2 });
    expect([host.borrow("a#1.1"), host.borrow("b#1.1")]).toEqual([
      { lease: expect.any(String) },
      { lease: expect.any(String) },
    ]);
    host.restart();
    return host;
  }

  const loan = (id: string) => ({ id, job: "k", bytes: 1_000 });

  test("asks who borrowed from it, and lends no more than what is left beside that", () => {
    const host = lending();
    expect(host.askedLoans).toEqual(["there"]);
    expect(host.borrow("c#1.1")).toEqual({ queued: true });
    expect(host.borrow("d#1.1")).toEqual({ queued: true });
    host.scheduler.loansTold("there", [loan("a#1.1")], host.now);
    expect(host.lent.map(({ id }) => id)).toEqual(["c#1.1"]);
    host.giveBack("a#1.1");
    expect(host.leases.size).toBe(2);
  });

  test("writes down what it lends on top of what may be out, so that another restart finds both", () => {
    const host = new RecordedHost();
    for (let id = 1; id <= LANE_WIDTH; id++) {
      host.borrow(`before-${id}#1.1`);
    }
    expect(host.owners.get("host/there")).toBe(LANE_WIDTH);
    host.restart();
    const further = START_LIMIT - LANE_WIDTH;
    for (let id = 1; id <= further; id++) {
      expect(host.borrow(`after-${id}#1.1`)).toHaveProperty("lease");
    }
    expect(host.owners.get("host/there")).toBeGreaterThanOrEqual(START_LIMIT);
    host.restart();
    expect(host.borrow("again#1.1")).toEqual({ queued: true });
  });

  test("asks again while its borrower does not know itself, and gives it up for dead in the end", () => {
    const host = lending();
    expect(host.borrow("c#1.1")).toEqual({ queued: true });
    host.scheduler.loansTold("there", null, host.now);
    host.pass(250);
    expect(host.askedLoans).toHaveLength(2);
    host.pass(499);
    expect(host.askedLoans).toHaveLength(2);
    host.pass(1);
    expect(host.askedLoans).toHaveLength(3);
    expect(host.lent).toEqual([]);
    host.pass(LEASE_MS);
    expect(host.lent.map(({ id }) => id)).toEqual(["c#1.1"]);
    const asked = host.askedLoans.length;
    host.pass(LEASE_MS);
    expect(host.askedLoans.length).toBe(asked);
  });

  test("does not take back up what was returned while the answer was on its way", () => {
    const host = lending();
    host.giveBack("a#1.1");
    host.scheduler.loansTold("there", [loan("a#1.1"), loan("b#1.1")], host.now);
    expect([...host.leases.values()].map(({ use }) => use)).toMatchObject([{ loanId: "b#1.1" }]);
  });
});

describe("a host that was restarted while jobs have slots", () => {
  /** Two slots, both a job's. */
  function busy(): RecordedHost {
    const host = new RecordedHost({ reqConcurrent: 2 });
    host.joinJob("j");
    host.request("a");
    host.request("b");
    expect(host.admitted).toEqual(["a", "b"]);
    host.restart();
    host.joinJob("k");
    host.request("c", { session: "k" });
    host.request("d", { session: "k" });
    return host;
  }

  const held = (lease: string) => ({ lease, kind: "head" as const, bytes: 0 });

  test("asks them, and grants what is left beside what they say", () => {
    const host = busy();
    expect(host.askedSlots).toEqual(["j"]);
    expect(host.admitted).toEqual(["a", "b"]);
    host.scheduler.slotsTold("j", [held("a")], host.now);
    expect(host.admitted).toEqual(["a", "b", "c"]);
    host.release("a");
    expect(host.admitted).toEqual(["a", "b", "c", "d"]);
  });

  test("has them come back with the same", () => {
    const host = busy();
    host.scheduler.slotsTold("j", [held("a")], host.now);
    host.joinJob("j", ["a"]);
    expect([...host.leases.keys()]).toEqual(["a", "c"]);
    host.scheduler.leave("j", host.now);
    expect([...host.leases.keys()]).toEqual(["c", "d"]);
  });

  test("takes back from one that has come back what it does not have any more", () => {
    const host = busy();
    host.scheduler.slotsTold("j", [held("a"), held("b")], host.now);
    host.joinJob("j", ["b"]);
    expect([...host.leases.keys()]).toEqual(["b", "c"]);
  });

  test("hears from one that has come back already nothing new", () => {
    const host = busy();
    host.joinJob("j", []);
    host.scheduler.slotsTold("j", [held("a"), held("b")], host.now);
    expect([...host.leases.keys()]).toEqual(["c", "d"]);
  });
});

describe("a target that was restarted", () => {
  /** A blob from elsewhere under way in a lane. */
  function moving(): RecordedHost {
    const host = new RecordedHost();
    host.joinLane("lane", 1);
    host.offer("blob", { sourceHost: "there" });
    host.answer({ lease: "x" });
    expect(host.transfers).toHaveLength(1);
    host.restart();
    return host;
  }

  test("does not know what it has borrowed until its lanes are back, or given up", () => {
    const back = moving();
    expect(back.scheduler.loansOf("there")).toBeNull();
    const [transfer] = back.transfers;
    back.joinLane("lane", 0, back.transfers);
    expect(back.scheduler.loansOf("there")).toEqual([{ id: transfer?.loan, job: "j", bytes: 1_000 }]);
    expect(back.scheduler.loansOf("elsewhere")).toEqual([]);
    const gone = moving();
    gone.pass(REJOIN_MS);
    expect(gone.scheduler.loansOf("there")).toEqual([]);
  });

  test("has a lane go on with its blob, and gives the slot at the source back under its old name", () => {
    const host = moving();
    const [transfer] = host.transfers;
    host.joinLane("lane", 0, host.transfers);
    const progress = [{ lease: transfer?.lease ?? "", bytes: 10 }];
    expect(host.scheduler.renew("lane", progress, host.now)).toEqual({ lost: [], withdrawn: [] });
    host.report(transfer ?? expect.fail("no transfer"));
    expect(host.settled).toMatchObject([{ digest: "blob", outcome: "copied" }]);
    expect(host.givenBack).toMatchObject([{ source: "there", id: transfer?.loan }]);
  });

  test("has a lane leave off whose blob nobody wants any more, and counts its slot until it has", () => {
    const host = moving();
    const [transfer] = host.transfers;
    host.scheduler.withdraw("j", host.now);
    host.joinLane("lane", 0, host.transfers);
    const lease = transfer?.lease ?? "";
    const renewal = host.scheduler.renew("lane", [{ lease, bytes: 10 }], host.now);
    expect(renewal).toEqual({ lost: [lease], withdrawn: [lease] });
    expect(host.leases.size).toBe(1);
    host.report(transfer ?? expect.fail("no transfer"), { result: { kind: "returned" } });
    expect(host.leases.size).toBe(0);
    expect(host.givenBack.at(-1)).toMatchObject({ source: "there", id: transfer?.loan });
    expect(host.settled).toEqual([]);
  });
});

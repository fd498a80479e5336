import { beforeEach, describe, expect, test } from "vitest";
import type { Handover, Transfer } from "../../src/host/contract.ts";
import { LEASE_MS } from "../../src/host/leases.ts";
import { MAX_CUTS } from "../../src/host/tries.ts";
import type { ErrorDetail } from "../../src/registry/errors.ts";
import { RecordedHost } from "./recorded-host.ts";

const HOUR_MS = 3_600_000;
const BROKE: ErrorDetail = {
  code: "connection",
  side: "target",
  host: "here",
  operation: "upload blob",
  retryable: true,
  message: "it broke",
};

let host: RecordedHost;
beforeEach(() => {
  host = new RecordedHost();
  host.offer("blob", { sourceHost: "here" });
});

describe("what a lane has told of an upload", () => {
  test("is given to the next lane when that one has died", () => {
    const first = begin("l1");
    tell("l1", first, at(100));
    tell("l1", first, at(200));
    die("l1");
    expect(begin("l2").handover).toEqual(at(200));
  });

  test("is given to the next lane when its lease has run out", () => {
    tell("l1", begin("l1"), at(100));
    host.pass(LEASE_MS);
    expect(begin("l2").handover).toEqual(at(100));
  });

  test("survives a restart of the host", () => {
    const first = begin("l1");
    tell("l1", first, at(100));
    host.restart();
    host.pass(LEASE_MS);
    expect(begin("l2").handover).toEqual(at(100));
  });

  test.each([
    ["has died", () => die("l1")],
    ["has let its lease run out", () => host.pass(LEASE_MS)],
    ["was lost in a restart", () => (host.restart(), host.pass(LEASE_MS))],
  ])("is deleted when the lane %s with nothing in it that could be gone on with", (_how, end) => {
    tell("l1", begin("l1"), at(0));
    end();
    expect(begin("l2").handover).toBeUndefined();
    expect(host.abandoned).toEqual([at(0).location]);
  });

  test.each([
    ["by a lane that leaves off", () => undefined],
    ["by one that has come back to a restarted host", () => (host.restart(), host.joinLane("l1", 0, host.transfers))],
  ])("is given to the next lane with nothing in it, when it is handed back %s", (_how, meanwhile) => {
    const first = begin("l1");
    meanwhile();
    host.report(first, { result: { kind: "returned" }, bytes: 0, handover: at(0) });
    expect(begin("l2").handover).toEqual(at(0));
    expect(host.abandoned).toEqual([]);
  });

  test("is replaced by its report", () => {
    const first = begin("l1");
    tell("l1", first, at(100));
    host.report(first, { result: { kind: "failed", error: BROKE }, handover: at(150) });
    expect(begin("l2").handover).toEqual(at(150));
  });

  test("is forgotten when its report says nothing of it: the lane has ended the upload", () => {
    const first = begin("l1");
    tell("l1", first, at(100));
    host.report(first, { result: { kind: "failed", error: BROKE } });
    expect(begin("l2").handover).toBeUndefined();
    expect(host.abandoned).toEqual([]);
  });

  test("is not kept beyond the copy of the blob", () => {
    const first = begin("l1");
    tell("l1", first, at(100));
    host.report(first);
    expect([...host.offers.values()].filter(({ kept }) => kept !== undefined)).toEqual([]);
    expect(host.abandoned).toEqual([]);
  });

  test("is too old after a day: the upload is deleted, the blob begins anew", () => {
    tell("l1", begin("l1"), at(100));
    die("l1");
    host.now += 25 * HOUR_MS;
    expect(begin("l2").handover).toBeUndefined();
    expect(host.abandoned).toEqual([at(100).location]);
  });
});

describe("an upload that nobody goes on with is deleted", () => {
  test("when its copy is withdrawn between two lanes", () => {
    tell("l1", begin("l1"), at(100));
    die("l1");
    host.scheduler.withdraw("j", host.now);
    expect(host.abandoned).toEqual([at(100).location]);
  });

  test("by the lane that hears of the withdrawal, and not once more by the host", () => {
    const first = begin("l1");
    tell("l1", first, at(100));
    host.scheduler.withdraw("j", host.now);
    const renewal = host.scheduler.renew("l1", [{ lease: first.lease, bytes: 1 }], host.now);
    expect(renewal).toEqual({ lost: [first.lease], withdrawn: [first.lease] });
    host.report(first, { result: { kind: "returned" } });
    expect(host.abandoned).toEqual([]);
  });

  test("by the host when its lane dies before it hears of the withdrawal", () => {
    tell("l1", begin("l1"), at(100));
    host.scheduler.withdraw("j", host.now);
    die("l1");
    expect(host.abandoned).toEqual([at(100).location]);
  });

  test("when the blob has failed for good", () => {
    const first = begin("l1");
    const error = { ...BROKE, retryable: false };
    host.report(first, { result: { kind: "failed", error }, handover: at(100) });
    expect(host.abandoned).toEqual([at(100).location]);
    expect(host.settled.at(-1)).toMatchObject({ outcome: "failed" });
  });
});

describe("a blob", () => {
  test("that gets further with every lane is tried as often as it takes", () => {
    for (let lane = 1; lane <= 3 * MAX_CUTS; lane++) {
      const transfer = begin(`l${lane}`);
      expect(transfer.attempt).toBe(1);
      tell(`l${lane}`, transfer, at(lane * 10));
      die(`l${lane}`);
    }
    expect(host.settled).toEqual([]);
  });

  test("that gets no further fails after so many dead lanes", () => {
    for (let lane = 1; lane <= MAX_CUTS; lane++) {
      const transfer = begin(`l${lane}`);
      tell(`l${lane}`, transfer, at(10));
      die(`l${lane}`);
    }
    // The first of them has gained something.
    const last = begin("last");
    die("last");
    expect(last.attempt).toBe(MAX_CUTS);
    expect(host.settled).toMatchObject([{ outcome: "failed" }]);
  });

  test("that uses up a lane's time for nothing has used up an attempt, one that was not begun has not", () => {
    const first = begin("l1");
    host.report(first, { result: { kind: "returned" }, bytes: 50, handover: at(50) });
    const untouched = begin("l2");
    host.report(untouched, { result: { kind: "returned" }, bytes: 0, handover: at(50) });
    const second = begin("l3");
    expect(second.attempt).toBe(1);
    host.report(second, { result: { kind: "returned" }, bytes: 60, handover: at(50) });
    expect(begin("l4").attempt).toBe(2);
  });
});

/** A lane takes the blob, once the host is not to be left alone any more. */
function begin(lane: string): Transfer {
  const before = host.transfers.length;
  host.joinLane(lane, 1);
  for (let seconds = 0; host.transfers.length === before && seconds < 120; seconds++) {
    host.pass(1_000);
  }
  const transfer = host.transfers[before];
  if (transfer === undefined) {
    throw new Error(`${lane} was given nothing`);
  }
  return transfer;
}

function tell(lane: string, { lease }: Transfer, handover: Handover): void {
  const progress = [{ lease, bytes: handover.offsetBytes, handover }];
  expect(host.scheduler.renew(lane, progress, host.now).lost).toEqual([]);
}

function die(lane: string): void {
  host.scheduler.leave(lane, host.now);
}

function at(offsetBytes: number): Handover {
  const location = `http://here/upload?state=${offsetBytes}`;
  return { v: 1, location, minChunkBytes: 0, maxChunkBytes: 0, offsetBytes };
}

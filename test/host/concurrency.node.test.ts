import { describe, expect, test } from "vitest";
import { Concurrency, GREATEST_LIMIT, LEAST_LIMIT, START_LIMIT } from "../../src/host/concurrency.ts";

/** A host that answers a full window at a time, one window a second. */
class Line {
  now = 100_000;
  readonly concurrency: Concurrency;

  constructor(cap = 0) {
    this.concurrency = new Concurrency({ cap });
  }

  /** As many requests as the limit allows are answered well; all were sent a second ago. */
  window(wanted = true): this {
    const { concurrency } = this;
    const active = concurrency.limit;
    const startedAt = this.now;
    this.now += 1000;
    for (let count = 0; count < active; count++) {
      concurrency.succeeded(this.now, wanted, { startedAt, active });
    }
    return this;
  }

  windows(count: number): this {
    for (let each = 0; each < count; each++) {
      this.window();
    }
    return this;
  }

  /** Of `active` requests under way `count` are refused. */
  refuse(active: number, count = 1): this {
    const startedAt = this.now;
    this.now += 10;
    for (let each = 0; each < count; each++) {
      this.concurrency.refused(this.now, { startedAt, active: active - each, sentAmong: active - each });
    }
    return this;
  }

  get limit(): number {
    return this.concurrency.limit;
  }
}

describe("concurrency that adapts", () => {
  test("starts at 8, with one slot more for small requests", () => {
    const { concurrency } = new Line();
    expect([concurrency.limit, concurrency.blobSlots(), concurrency.totalSlots()]).toEqual([
      START_LIMIT,
      START_LIMIT,
      START_LIMIT + 1,
    ]);
    expect(concurrency.reason).toContain("Nothing was refused yet");
  });

  test("doubles with each window while more is wanted, up to the greatest", () => {
    const line = new Line();
    const limits = Array.from({ length: 5 }, () => line.window().limit);
    expect(limits).toEqual([16, 32, 64, 64, 64].map((limit) => Math.min(limit, GREATEST_LIMIT)));
  });

  test("ends its growth where it is told to, and goes on beyond only by a cap", () => {
    const growth = (settings: { cap: number; greatest: number }): { limit: number; reason: string } => {
      const concurrency = new Concurrency(settings, { limit: 40 });
      return { limit: concurrency.limit, reason: concurrency.reason };
    };
    expect(growth({ cap: 0, greatest: 16 })).toEqual({ limit: 16, reason: "16 at once is the most that is used." });
    expect(growth({ cap: 30, greatest: 16 }).limit).toBe(30);
  });

  test("does not grow when nothing more is wanted", () => {
    expect(new Line().window(false).limit).toBe(START_LIMIT);
  });

  test("does not grow when it is not used", () => {
    const { concurrency } = new Line();
    for (let count = 0; count < 100; count++) {
      concurrency.succeeded(count, true, { startedAt: count - 1, active: 2 });
    }
    expect(concurrency.limit).toBe(START_LIMIT);
  });

  test("a refusal halves it, from the level that was in use", () => {
    expect(new Line().windows(2).refuse(32).limit).toBe(16);
    expect(new Line().windows(2).refuse(6).limit).toBe(3);
  });

  test("refusals of requests that were under way together halve it once", () => {
    expect(new Line().windows(2).refuse(32, 20).limit).toBe(16);
  });

  test("a request that was sent before the limit was halved says nothing, well or ill", () => {
    const line = new Line().windows(1);
    const startedAt = line.now - 5;
    line.refuse(16);
    line.concurrency.refused(line.now + 60_000, { startedAt, active: 8 });
    expect(line.limit).toBe(8);
    const before = line.concurrency.snapshot();
    line.concurrency.succeeded(line.now, true, { startedAt, active: 8 });
    expect(line.concurrency.snapshot()).toEqual(before);
  });

  test("without the time it was sent a refusal within a second of another is taken to be of the same window", () => {
    const concurrency = new Concurrency();
    concurrency.refused(10_000);
    concurrency.refused(10_999);
    expect(concurrency.limit).toBe(4);
    concurrency.refused(11_001);
    expect(concurrency.limit).toBe(2);
  });

  test("never falls below one", () => {
    const line = new Line();
    for (let count = 0; count < 20; count++) {
      line.refuse(line.limit);
    }
    expect(line.limit).toBe(LEAST_LIMIT);
    expect(line.concurrency.blobSlots()).toBe(1);
  });

  test("after a refusal it comes back quickly to just below the level that was refused, and stays there", () => {
    const line = new Line().refuse(8);
    expect(line.limit).toBe(4);
    expect(line.windows(2).limit).toBe(7);
    expect(line.windows(3).limit).toBe(7);
    expect(line.concurrency.reason).toBe("The registry refused 8 at once.");
  });

  test("of several sent too many each that is refused lowers the level by one", () => {
    expect(new Line().windows(1).refuse(16, 5).windows(4).limit).toBe(11);
  });

  test("tries the refused level again after a while, and each time it is refused waits twice as long", () => {
    const line = new Line().refuse(8);
    const windowsUntilTried = (): number => {
      for (let windows = 1; ; windows++) {
        if (line.window().limit >= 8) {
          return windows;
        }
      }
    };
    const first = windowsUntilTried();
    line.refuse(8);
    const second = windowsUntilTried();
    line.refuse(8);
    const third = windowsUntilTried();
    expect(second).toBeGreaterThan(1.5 * first);
    expect(third).toBeGreaterThan(1.5 * second);
  });

  test("a step beyond what was borne for a window costs that step only", () => {
    const line = new Line().refuse(8);
    while (line.limit < 8) {
      line.window();
    }
    expect(line.refuse(8).limit).toBe(7);
  });

  test("is tried again later where that has cost more: by refusals, or by the time until the host was back", () => {
    const windowsUntilTried = (refusals: number, outageMs: number): number => {
      const line = new Line().refuse(8, refusals);
      line.now += outageMs;
      for (let windows = 1; ; windows++) {
        if (line.window().limit >= 8) {
          return windows;
        }
      }
    };
    expect(windowsUntilTried(1, 5_000)).toBeGreaterThan(3 * windowsUntilTried(1, 0));
  });

  test("a level that is borne for a window is no bound any more: from there it grows by one with each window", () => {
    const line = new Line().refuse(8);
    while (line.limit < 8) {
      line.window();
    }
    expect(Array.from({ length: 4 }, () => line.window().limit)).toEqual([9, 10, 11, 12]);
    expect(line.concurrency.reason).toContain("by one with each window");
  });

  test("a host that refused everything for a while is back at half of its level within a few windows", () => {
    const line = new Line().windows(3);
    for (let count = 0; count < 10; count++) {
      line.refuse(line.limit, line.limit);
    }
    expect(line.limit).toBe(1);
    expect(line.windows(6).limit).toBe(32);
  });

  test("at a level known to be full there is no extra slot, but one is kept while small requests come", () => {
    const line = new Line().refuse(8).windows(3);
    const { concurrency } = line;
    expect([concurrency.blobSlots(), concurrency.totalSlots()]).toEqual([7, 7]);
    concurrency.succeeded(line.now, true, { startedAt: line.now, small: true });
    expect([concurrency.blobSlots(), concurrency.totalSlots()]).toEqual([6, 7]);
    concurrency.succeeded(line.now + 10_000, true, { startedAt: line.now });
    expect([concurrency.blobSlots(), concurrency.totalSlots()]).toEqual([7, 7]);
  });

  test("goes on after a restart where it was", () => {
    const line = new Line().windows(1).refuse(16, 5).windows(2);
    const after = new Concurrency({ cap: 0 }, structuredClone(line.concurrency.snapshot()));
    expect(after.snapshot()).toEqual(line.concurrency.snapshot());
    expect([after.limit, after.reason]).toEqual([line.limit, line.concurrency.reason]);
    after.refused(line.now + 1, { startedAt: line.now, active: 5 });
    expect(after.limit).not.toBe(line.limit);
  });
});

describe("a configured cap", () => {
  test.each([
    [1, 1, 1],
    [3, 3, 3],
    [8, 8, 8],
    [9, 8, 9],
    [20, 8, 9],
  ])("of %d allows %d for blobs and %d in all at the start", (cap, blobs, total) => {
    const { concurrency } = new Line(cap);
    expect([concurrency.blobSlots(), concurrency.totalSlots()]).toEqual([blobs, total]);
  });

  test("is never exceeded, whatever succeeds", () => {
    const line = new Line(20).windows(50);
    expect([line.concurrency.blobSlots(), line.concurrency.totalSlots()]).toEqual([20, 20]);
    expect(line.concurrency.reason).toBe("The configuration allows 20 at once.");
  });

  test("a refusal halves what the cap leaves, not what was thought possible", () => {
    expect(new Line(4).refuse(4).limit).toBe(2);
  });
});

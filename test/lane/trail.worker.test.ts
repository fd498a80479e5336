import { describe, expect, it } from "vitest";
import { Trail, type TrailTerms } from "../../src/lane/trail.ts";
import { digestOf } from "../../src/registry/digest.ts";

const MIB = 1024 ** 2;
const bytes = new Uint8Array(40 * MIB).map((_, index) => (index * 2_654_435_761) >>> 24);
const digest = digestOf(bytes);
/** Not a multiple of anything that a hash or a mark goes by. */
const STEP = 100_003;

describe("a trail", () => {
  for (const mayOutlast of [false, true]) {
    it(`that goes back any number of times has the blob's digest all the same, portable or not: ${mayOutlast}`, () => {
      const trail = Trail.begin(terms({ mayOutlast }));
      for (const byte of [STEP, 9 * MIB + 1, 30 * MIB]) {
        feed(trail, byte);
        const from = trail.rewind(byte - 10);
        expect(from).not.toBeNull();
        expect(from).toBeLessThanOrEqual(byte - 10);
        expect(byte - Number(from)).toBeLessThan(9 * MIB);
      }
      feed(trail, bytes.byteLength);
      expect(trail.digest()).toBe(digest);
    });
  }

  it("goes on in another lane, wherever it was left", () => {
    for (const byte of [1, 63, 64, 65, 16 * 1024 + 1, 20 * MIB]) {
      const first = Trail.begin(terms({ portableAfterMs: 0 }));
      feed(first, byte);
      const saved = first.save() ?? undefined;
      const next = Trail.goOn(terms(), byte, saved === undefined ? undefined : JSON.parse(JSON.stringify(saved)));
      if (next === null) {
        throw new Error(`lost at byte ${byte}`);
      }
      feed(next, bytes.byteLength);
      expect(next.digest()).toBe(digest);
    }
  });

  it("cannot go back behind where it began, or what is secured", () => {
    const first = Trail.begin(terms());
    feed(first, 5 * MIB);
    const next = Trail.goOn(terms(), 5 * MIB, first.save() ?? undefined);
    expect(next?.rewind(5 * MIB - 1)).toBeNull();
    first.secure();
    feed(first, 6 * MIB);
    expect(first.rewind(5 * MIB - 1)).toBeNull();
    expect(first.rewind(5 * MIB)).toBe(5 * MIB);
  });

  it("can be handed on only while it is hashed portably: on a slow line, or before the line is known", () => {
    for (const [msPerMib, isPortable] of [
      [0.001, false],
      [1_000, true],
    ] as const) {
      let now = 0;
      const trail = Trail.begin(terms({ now: () => now }));
      feed(trail, MIB);
      expect(trail.save()).not.toBeNull();
      for (let mib = 2; mib <= 20; mib++) {
        now += msPerMib;
        feed(trail, mib * MIB);
      }
      expect(trail.save() !== null).toBe(isPortable);
    }
  });

  it("that nobody could go on with is not begun: another format, a state cut short, or none", () => {
    const trail = Trail.begin(terms());
    feed(trail, MIB);
    const saved = trail.save();
    if (saved === null || saved === undefined) {
      throw new Error("there is nothing to hand on");
    }
    expect(Trail.goOn(terms(), MIB, { ...saved, format: "of another build" })).toBeNull();
    expect(Trail.goOn(terms(), MIB, { ...saved, state: saved.state.slice(0, 8) })).toBeNull();
    expect(Trail.goOn(terms(), MIB, { ...saved, state: "!" })).toBeNull();
    expect(Trail.goOn(terms(), MIB, undefined)).toBeNull();
  });

  it("needs no hash where the target checks, and stands wherever it is told", () => {
    const trail = Trail.goOn(terms({ isHashed: false }), 5, undefined);
    expect(trail?.rewind(3)).toBe(3);
    expect(trail?.digest()).toBeNull();
    expect(trail?.save()).toBeUndefined();
  });
});

function terms(changes: Partial<TrailTerms> = {}): TrailTerms {
  return {
    digest,
    sizeBytes: bytes.byteLength,
    isHashed: true,
    mayOutlast: true,
    portableAfterMs: 10_000,
    now: () => 0,
    ...changes,
  };
}

/** Up to a byte, in pieces. */
function feed(trail: Trail, toByte: number): void {
  while (trail.byte < toByte) {
    trail.update(bytes.subarray(trail.byte, Math.min(trail.byte + STEP, toByte)));
  }
}

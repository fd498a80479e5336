import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Handover } from "../../src/host/contract.ts";
import type { UploadShape } from "../../src/registry/upload-shape.ts";
import type { FaultRule } from "../registry-server/faults.ts";
import type { RegistryOptions } from "../registry-server/server.ts";
import { Driver } from "../lane/driver/workerd.ts";
import { OneBlob, type Tries } from "./one-blob.ts";

const MIB = 1024 ** 2;
const CUTS = 10;
/** What may be sent again of a blob that is cut ten times. */
const RESENT_MAX = 0.1;
/** More than any case needs. */
const LANES_MAX = 40;

const PATCH_SHAPE: UploadShape = {
  whole: "patch",
  maxWholeBytes: 0,
  chunkBytes: MIB / 2,
  tellsOffset: true,
  lessons: 0,
  reason: "the test says so",
};

const bytes = randomBytes(32 * MIB);
let driver: Driver;
beforeAll(async () => {
  driver = await Driver.start();
});
afterAll(async () => {
  await driver[Symbol.asyncDispose]();
});

describe(`a blob of 32 MiB that is cut ${CUTS} times`, () => {
  interface Case {
    what: string;
    source?: RegistryOptions;
    target?: RegistryOptions;
    how?: Tries;
  }
  const cases: Case[] = [
    { what: "at the source", source: { rules: [cutAnswer(3 * MIB)] } },
    {
      what: "at the source, left to the target to check",
      source: { rules: [cutAnswer(3 * MIB)] },
      how: targetVerifies(),
    },
    { what: "inside its PUT", target: { rules: [cutRequest("PUT", 3 * MIB)] } },
    {
      what: "inside its PUT, left to the target to check",
      target: { rules: [cutRequest("PUT", 3 * MIB)] },
      how: targetVerifies(),
    },
    {
      what: "inside its PATCH",
      target: { forms: ["patch"], rules: [cutRequest("PATCH", 3 * MIB)] },
      how: { shape: PATCH_SHAPE },
    },
    { what: "inside its chunks", target: { rules: everyFourth("PATCH", MIB / 4) }, how: chunksOf(MIB / 2) },
    {
      what: "inside its chunks, of which the registry keeps only whole ones",
      target: { dropsBroken: true, rules: everyFourth("PATCH", MIB / 4) },
      how: chunksOf(MIB / 2),
    },
    {
      what: "inside its chunks, with a Range that stands still",
      target: { dropsBroken: true, rangeStandsStill: true, rules: everyFourth("PATCH", MIB / 4) },
      how: { shape: { ...PATCH_SHAPE, whole: "chunks", tellsOffset: false } },
    },
  ];
  for (const { what, source = {}, target = {}, how = {} } of cases) {
    it(`${what} arrives in one try, little of it sent again`, async () => {
      await using blob = await OneBlob.between(source, target);
      const report = await blob.move(driver, bytes, how);
      expect(report.result).toEqual({ kind: "copied" });
      const cuts = [...blob.source.requests, ...blob.target.requests].filter(({ fault }) => fault !== undefined);
      expect(cuts.length).toBe(CUTS);
      expect(blob.resentPart(bytes)).toBeLessThan(RESENT_MAX);
      expect(blob.holds(bytes)).toBe(true);
      expect(blob.target.openUploads()).toEqual([]);
    });
  }

  it("by the deaths of its lanes goes on where the last one was heard of", async () => {
    await using blob = await OneBlob.between({ rules: [slow(60 * MIB)] }, {});
    const order = { letGo: { afterBytes: 3 * MIB, why: "lost" }, portableAfterMs: 0 } as const;
    const lanes = await throughLanes(blob, { ...chunksOf(MIB / 2), order });
    expect(lanes).toBeGreaterThanOrEqual(CUTS);
    expect(blob.resentPart(bytes)).toBeLessThan(RESENT_MAX);
    expect(blob.holds(bytes)).toBe(true);
  });

  it("by the end of its lanes' time sends nothing again", async () => {
    await using blob = await OneBlob.between({ rules: [slow(60 * MIB)] }, {});
    const order = { timeUpAfterBytes: 3 * MIB, portableAfterMs: 0 };
    const lanes = await throughLanes(blob, { ...chunksOf(MIB), order });
    expect(lanes).toBeGreaterThanOrEqual(8);
    expect(blob.resentPart(bytes)).toBe(0);
    expect(blob.holds(bytes)).toBe(true);
  });

  it("by the end of its lanes' time needs no hash where the target checks", async () => {
    await using blob = await OneBlob.between({ rules: [slow(60 * MIB)] }, {});
    const settings = { verify: "target", chunkBytes: MIB } as const;
    const lanes = await throughLanes(blob, { settings, order: { timeUpAfterBytes: 3 * MIB } });
    expect(lanes).toBeGreaterThanOrEqual(8);
    expect(blob.resentPart(bytes)).toBe(0);
    expect(blob.holds(bytes)).toBe(true);
  });
});

describe("a blob that is cut inside a chunk", () => {
  it("is read again from where the target stands, and from no byte before it", async () => {
    const cut: FaultRule = {
      match: { method: "PATCH" },
      skip: 2,
      times: 1,
      action: { type: "reset-request", afterBytes: MIB },
    };
    await using blob = await OneBlob.between({}, { dropsBroken: true, rules: [cut] });
    const report = await blob.move(driver, bytes, chunksOf(6 * MIB));
    expect(report.result).toEqual({ kind: "copied" });
    expect(blob.source.requests.map(({ headers }) => headers["range"])).toEqual([undefined, `bytes=${12 * MIB}-`]);
    expect(blob.holds(bytes)).toBe(true);
  });
});

/** Moves the blob in one lane after another, each beginning with what was heard of the one before; answers how many. */
async function throughLanes(blob: OneBlob, how: Tries): Promise<number> {
  let handover: Handover | undefined;
  for (let lanes = 1; lanes <= LANES_MAX; lanes++) {
    const report = await blob.move(driver, bytes, { ...how, ...(handover !== undefined && { handover }) });
    if (report.result.kind === "copied") {
      return lanes;
    }
    expect(report.result).toEqual({ kind: "returned" });
    handover = report.handover ?? report.told ?? undefined;
  }
  throw new Error(`not there after ${LANES_MAX} lanes`);
}

function targetVerifies(): Tries {
  return { settings: { verify: "target" } };
}

function chunksOf(chunkBytes: number): Tries {
  return { settings: { chunkBytes } };
}

function cutAnswer(afterBytes: number): FaultRule {
  return { match: { method: "GET", path: "/blobs/" }, times: CUTS, action: { type: "reset", afterBytes } };
}

function slow(bytesPerSecond: number): FaultRule {
  return { match: { method: "GET", path: "/blobs/" }, action: { type: "slow", bytesPerSecond } };
}

function cutRequest(method: string, afterBytes: number): FaultRule {
  return { match: { method }, times: CUTS, action: { type: "reset-request", afterBytes } };
}

/** One rule per cut, each of which lets those before it have their turn. */
function everyFourth(method: string, afterBytes: number): FaultRule[] {
  return Array.from({ length: CUTS }, (_, index) => ({
    match: { method },
    skip: 3 * (index + 1),
    times: 1,
    action: { type: "reset-request", afterBytes },
  }));
}

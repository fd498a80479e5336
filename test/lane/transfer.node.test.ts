import { createHash, randomBytes } from "node:crypto";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { BlobOffer, Transfer, TransferReport } from "../../src/host/contract.ts";
import type { HostSettings } from "../../src/registry/contract.ts";
import type { FaultRule } from "../registry-server/faults.ts";
import { startRegistry, type RegistryOptions, type TestRegistry } from "../registry-server/server.ts";
import { settingsFor } from "../registry/settings.ts";
import type { TransferOrder } from "./driver/orders.ts";
import { Driver } from "./driver/workerd.ts";

const MIB = 1024 * 1024;
const FROM = "library/source";
const TO = "team/target";
/** Long enough for a busy machine to answer, short enough to wait for. */
const IDLE_MS = 400;

let driver: Driver;
const registries: TestRegistry[] = [];

beforeAll(async () => {
  driver = await Driver.start();
});
afterEach(async () => {
  await Promise.all(registries.splice(0).map((registry) => registry.close()));
});
afterAll(async () => {
  await driver[Symbol.asyncDispose]();
});

describe("a blob", () => {
  const sizes = [1, 1000, 64 * 1024, 512 * 1024, 512 * 1024 + 1, 3 * MIB + 7];

  for (const verify of ["stream", "target"] as const) {
    for (const size of sizes) {
      it(`of ${size} bytes arrives whole, in three requests, with verify = "${verify}"`, async () => {
        const { source, target } = await pair();
        const bytes = randomBytes(size);
        const { report } = await transfer(source, target, bytes, { settings: { verify } });
        expect(report).toMatchObject({
          result: { kind: "copied" },
          bytes: size,
          requests: { source: 1, target: 2 },
          source: { class: "ok" },
          target: { class: "ok" },
        });
        expect(report.firstByteAt).toBeGreaterThan(Date.now() - 60_000);
        expect(holds(target, bytes)).toBe(true);
        expect(methods(target)).toEqual(["POST", "PUT"]);
        expect(target.requests[1]?.headers["content-length"]).toBe(String(size));
      });
    }
  }

  it("of no bytes is sent without asking the source", async () => {
    const { source, target } = await pair();
    const { report } = await transfer(source, target, Buffer.alloc(0));
    expect(report).toMatchObject({ result: { kind: "copied" }, requests: { source: 0, target: 2 } });
    expect(target.storage.blobIn(TO, digestOf(Buffer.alloc(0)))).toMatchObject({ sizeBytes: 0 });
  });

  it("with a SHA-512 digest is verified like any other", async () => {
    const { source, target } = await pair();
    const bytes = randomBytes(1000);
    const digest = `sha512:${createHash("sha512").update(bytes).digest("hex")}`;
    const { report } = await transfer(source, target, bytes, { offer: { digest } });
    expect(report.result).toEqual({ kind: "copied" });
  });

  it("whose source says no length is counted all the same", async () => {
    for (const verify of ["stream", "target"] as const) {
      const { source, target } = await pair({ rules: [get({ type: "chunked" })] });
      const bytes = randomBytes(MIB);
      const { report } = await transfer(source, target, bytes, { settings: { verify } });
      expect(report.result).toEqual({ kind: "copied" });
      expect(target.requests[1]?.headers["content-length"]).toBe(String(MIB));
    }
  });

  it("goes in chunks where the host wants them", async () => {
    const { source, target } = await pair();
    const bytes = randomBytes(2 * MIB + 5);
    const { report } = await transfer(source, target, bytes, { settings: { chunkBytes: MIB } });
    expect(report).toMatchObject({ result: { kind: "copied" }, bytes: bytes.length, requests: { target: 5 } });
    expect(methods(target)).toEqual(["POST", "PATCH", "PATCH", "PATCH", "PUT"]);
    expect(holds(target, bytes)).toBe(true);
  });

  it("goes in chunks no smaller than the registry asks for", async () => {
    const { source, target } = await pair({}, { minChunkBytes: MIB });
    const bytes = randomBytes(2 * MIB);
    const { report } = await transfer(source, target, bytes, { settings: { chunkBytes: 1000 } });
    expect(report.result).toEqual({ kind: "copied" });
    expect(methods(target)).toEqual(["POST", "PATCH", "PATCH", "PUT"]);
  });

  it("that may be there is looked for first", async () => {
    const { source, target } = await pair();
    const bytes = randomBytes(1000);
    put(target, TO, bytes);
    const { report } = await transfer(source, target, bytes, { offer: { mayExist: true } });
    expect(report).toMatchObject({ result: { kind: "present" }, requests: { source: 0, target: 1 } });
  });

  it("that another repository of the target holds is mounted", async () => {
    const { source, target } = await pair();
    const bytes = randomBytes(1000);
    put(target, "team/other", bytes);
    const { report } = await transfer(source, target, bytes, { mountFrom: [TO, "team/other"] });
    expect(report).toMatchObject({ result: { kind: "mounted" }, requests: { source: 0, target: 1 }, bytes: 0 });
  });

  it("whose mount is refused goes into the session that the refusal opened", async () => {
    const { source, target } = await pair({}, { mount: "none" });
    const bytes = randomBytes(1000);
    const { report } = await transfer(source, target, bytes, { mountFrom: ["team/other"] });
    expect(report).toMatchObject({ result: { kind: "copied" }, requests: { source: 1, target: 2 } });
  });

  it("stays at its host by a mount, booked on one slot", async () => {
    const { target } = await pair();
    const bytes = randomBytes(1000);
    put(target, FROM, bytes);
    const { report } = await transfer(target, target, bytes);
    expect(report).toMatchObject({ result: { kind: "mounted" }, source: { class: "unused" }, target: { class: "ok" } });
  });

  it("stays where it is when source and target repository are the same", async () => {
    const { target } = await pair();
    const bytes = randomBytes(1000);
    const { report } = await transfer(target, target, bytes, { offer: { targetRepository: FROM } });
    expect(report).toMatchObject({ result: { kind: "present" }, requests: { source: 0, target: 0 } });
  });

  it("brings the registry's warnings along", async () => {
    const { source, target } = await pair({ warning: "pull less" }, { warning: "push less" });
    const { report } = await transfer(source, target, randomBytes(10));
    expect(report.warnings).toEqual(["pull less", "push less"]);
  });
});

describe("a source that breaks off", () => {
  it("is resumed where it stopped, into the same upload", async () => {
    const { source, target } = await pair({ rules: [get({ type: "reset", afterBytes: MIB }, { times: 1 })] });
    const bytes = randomBytes(3 * MIB);
    const { report } = await transfer(source, target, bytes);
    expect(report).toMatchObject({
      result: { kind: "copied" },
      requests: { source: 2, target: 2 },
      source: { class: "failed" },
      target: { class: "ok" },
    });
    expect(holds(target, bytes)).toBe(true);
    expect(source.requests[1]?.headers["range"]).toMatch(/^bytes=\d+-$/);
  });

  it("is resumed as often as it makes progress", async () => {
    const { source, target } = await pair({ rules: [get({ type: "reset", afterBytes: 300_000 }, { times: 9 })] });
    const bytes = randomBytes(4 * MIB);
    const { report } = await transfer(source, target, bytes);
    expect(report.result).toEqual({ kind: "copied" });
    expect(report.requests.source).toBe(10);
  });

  it("is given up when it makes none", async () => {
    const { source, target } = await pair({ rules: [get({ type: "truncate", afterBytes: 0 })] });
    const { report } = await transfer(source, target, randomBytes(MIB));
    expect(report).toMatchObject({
      result: { kind: "failed", error: { code: "connection", side: "source", host: source.host, retryable: true } },
      requests: { source: 4 },
      source: { class: "failed" },
      target: { class: "ok" },
    });
    expect(target.openUploads()).toEqual([]);
  });

  it("and cannot send ranges is left to another try", async () => {
    const { source, target } = await pair({
      rules: [get({ type: "reset", afterBytes: MIB }, { times: 1 }), get({ type: "no-ranges" })],
    });
    const { report } = await transfer(source, target, randomBytes(2 * MIB));
    expect(report).toMatchObject({
      result: { kind: "failed", error: { side: "source", retryable: true } },
      target: { class: "ok" },
      requests: { source: 2 },
    });
    expect(target.openUploads()).toEqual([]);
  });

  it("is gone on with in the same upload although the runtime piped it", async () => {
    const { source, target } = await pair({ rules: [get({ type: "reset", afterBytes: MIB }, { times: 1 })] });
    const bytes = randomBytes(3 * MIB);
    const { report } = await transfer(source, target, bytes, { settings: { verify: "target" } });
    expect(report).toMatchObject({
      result: { kind: "copied" },
      source: { class: "failed" },
      requests: { source: 2, target: 4 },
    });
    expect(methods(target)).toEqual(["POST", "PUT", "GET", "PUT"]);
    expect(holds(target, bytes)).toBe(true);
  });

  it("and stays away is named although the runtime piped it", async () => {
    const rules = [get({ type: "reset", afterBytes: MIB }, { times: 1 }), get({ type: "reset", afterBytes: 0 })];
    const { source, target } = await pair({ rules });
    const { report } = await transfer(source, target, randomBytes(3 * MIB), { settings: { verify: "target" } });
    expect(report.result).toMatchObject({ kind: "failed", error: { side: "source", retryable: true } });
    expect(report.source.class).not.toBe("ok");
    // What has arrived is for the next lane, which needs no hash.
    expect(report.handover?.offsetBytes).toBe(target.openUploads()[0]?.offsetBytes);
  });

  it("before it has said all it announced without a length, is not taken for whole", async () => {
    const rules = [get({ type: "chunked" }, { times: 1 }), get({ type: "status", status: 404, code: "BLOB_UNKNOWN" })];
    for (const verify of ["stream", "target"] as const) {
      const { source, target } = await pair({ rules });
      const bytes = randomBytes(MIB);
      const offer = { sizeBytes: MIB + 1 };
      const { report } = await transfer(source, target, bytes, { settings: { verify }, offer });
      expect(report.result).toMatchObject({ kind: "failed", error: { side: "source" } });
      expect(target.openUploads()).toEqual([]);
    }
  });
});

describe("wrong bytes", () => {
  for (const size of [1000, 3 * MIB]) {
    it(`in a blob of ${size} bytes never close the upload`, async () => {
      const { source, target } = await pair({ rules: [get({ type: "corrupt", atByte: 500 })] });
      const bytes = randomBytes(size);
      const { report } = await transfer(source, target, bytes);
      expect(report).toMatchObject({
        result: { kind: "failed", error: { code: "digest_mismatch", side: "source", host: source.host } },
        source: { class: "ok" },
        target: { class: "ok" },
      });
      expect(report.bytes).toBeLessThan(size);
      expect(target.requests.filter(({ method, status }) => method === "PUT" && status !== 0)).toEqual([]);
      expect(target.openUploads()).toEqual([]);
      expect(holds(target, bytes)).toBe(false);
    });
  }

  it("that the target found are looked into, and the source is named", async () => {
    const { source, target } = await pair({ rules: [get({ type: "corrupt", atByte: 500 })] });
    const { report } = await transfer(source, target, randomBytes(MIB), { settings: { verify: "target" } });
    expect(report).toMatchObject({
      result: { kind: "failed", error: { code: "digest_mismatch", side: "source", host: source.host } },
      requests: { source: 2 },
    });
  });

  it("that only the target sees are not booked on the source", async () => {
    for (const verify of ["stream", "target"] as const) {
      const refusal = { type: "status", status: 400, code: "DIGEST_INVALID" } as const;
      const { source, target } = await pair({}, { rules: [{ match: { method: "PUT" }, action: refusal }] });
      const { report } = await transfer(source, target, randomBytes(MIB), { settings: { verify } });
      expect(report.result).toMatchObject({ kind: "failed", error: { code: "digest_mismatch", side: "target" } });
      expect(JSON.stringify(report.result)).toContain("the source's bytes are right");
    }
  });

  it("of another length are refused before the upload's body is sent", async () => {
    const { source, target } = await pair();
    const { report } = await transfer(source, target, randomBytes(1000), { offer: { sizeBytes: 999 } });
    expect(report.result).toMatchObject({ kind: "failed", error: { code: "size_mismatch", side: "source" } });
    expect(methods(target)).toEqual(["POST", "DELETE"]);
    expect(target.openUploads()).toEqual([]);
  });

  it("beyond the size, from a source that says no length, are refused", async () => {
    const { source, target } = await pair({ rules: [get({ type: "chunked" })] });
    const { report } = await transfer(source, target, randomBytes(2 * MIB), { offer: { sizeBytes: MIB } });
    expect(report.result).toMatchObject({ kind: "failed", error: { code: "size_mismatch", side: "source" } });
    expect(target.openUploads()).toEqual([]);
  });

  it("that a descriptor of size 0 cannot have are refused", async () => {
    const { source, target } = await pair();
    const { report } = await transfer(source, target, randomBytes(10), { offer: { sizeBytes: 0 } });
    expect(report.result).toMatchObject({ kind: "failed", error: { code: "digest_mismatch", side: "source" } });
    expect(target.requests).toEqual([]);
  });
});

describe("a refusal", () => {
  it("of the source ends the upload that was opened meanwhile", async () => {
    const { source, target } = await pair();
    const { report } = await transfer(source, target, randomBytes(10), { offer: { sourceRepository: "library/none" } });
    expect(report).toMatchObject({
      result: { kind: "failed", error: { code: "not_found", side: "source", status: 404, retryable: true } },
      source: { class: "failed" },
      target: { class: "ok" },
    });
    expect(target.openUploads()).toEqual([]);
  });

  it.each([
    ["for the last time", { attempt: 4 }],
    ["though there is another place", { offer: { hasOtherPlace: true } }],
  ])("of a source that does not find the blob, %s, is final", async (_when, how) => {
    const { source, target } = await pair();
    const { attempt = 1, offer = {} }: Variation = how;
    const missing = { attempt, offer: { sourceRepository: "library/none", ...offer } };
    const { report } = await transfer(source, target, randomBytes(10), missing);
    expect(report.result).toMatchObject({ kind: "failed", error: { code: "not_found", retryable: false } });
  });

  it("of the target at the start breaks off the source's answer", async () => {
    const rule: FaultRule = { match: { method: "POST" }, action: { type: "status", status: 503 } };
    const { source, target } = await pair({}, { rules: [rule] });
    const { report } = await transfer(source, target, randomBytes(5 * MIB));
    expect(report).toMatchObject({
      result: { kind: "failed", error: { side: "target", status: 503, retryable: true } },
      target: { class: "failed" },
    });
    expect(report.source.class).not.toBe("failed");
  });

  it("of throttling keeps what the registry asked for", async () => {
    const action = { type: "status", status: 429, headers: { "retry-after": "7" } } as const;
    const { source, target } = await pair({ rules: [get(action)] });
    const { report } = await transfer(source, target, randomBytes(10));
    expect(report).toMatchObject({
      result: { kind: "failed", error: { code: "rate_limited", side: "source", status: 429 } },
      source: { class: "throttled", retryAfterMs: 7000 },
      target: { class: "ok" },
      requests: { source: 1 },
    });
  });

  it.each([400, 416])(
    "of the rest of a broken upload (%i) is tried again whole, and teaches nothing",
    async (status) => {
      const rules: FaultRule[] = [
        { match: { method: "PUT" }, times: 1, action: { type: "reset-request", afterBytes: MIB } },
        { match: { method: "PUT" }, action: { type: "status", status } },
      ];
      const { source, target } = await pair({}, { rules });
      const { report } = await transfer(source, target, randomBytes(8 * MIB));
      expect(methods(target).slice(0, 4)).toEqual(["POST", "PUT", "GET", "PUT"]);
      expect(report.result).toMatchObject({ kind: "failed", error: { side: "target", status, retryable: true } });
      expect(report).not.toHaveProperty("learned");
      expect(target.openUploads()).toEqual([]);
    },
  );

  for (const verify of ["stream", "target"] as const) {
    it(`in mid-upload is reported in the target's own words, with verify = "${verify}"`, async () => {
      const { source, target } = await pair({}, { maxBodyBytes: MIB });
      const { report } = await transfer(source, target, randomBytes(16 * MIB), { settings: { verify } });
      expect(report.result).toMatchObject({ kind: "failed", error: { side: "target", status: 413 } });
      expect(report.source.class).not.toBe("failed");
    });

    it(`by a cut connection is the target's, with verify = "${verify}"`, async () => {
      const rule: FaultRule = { match: { method: "PUT" }, action: { type: "reset-request", afterBytes: MIB } };
      const { source, target } = await pair({}, { rules: [rule] });
      const { report } = await transfer(source, target, randomBytes(8 * MIB), { settings: { verify } });
      expect(report).toMatchObject({
        result: { kind: "failed", error: { code: "connection", side: "target", host: target.host, retryable: true } },
      });
      expect(["refused", "failed"]).toContain(report.target.class);
      expect(report.source.class).toBe("ok");
    });
  }
});

describe("an end that stands still", () => {
  it("is named when it is the source", async () => {
    const { source, target } = await pair({ rules: [get({ type: "stall", afterBytes: MIB })] });
    const { report } = await transfer(source, target, randomBytes(3 * MIB));
    expect(report).toMatchObject({
      result: { kind: "failed", error: { code: "stalled", side: "source", host: source.host, retryable: true } },
      source: { class: "failed" },
      target: { class: "ok" },
    });
    expect(target.openUploads()).toEqual([]);
  });

  it("is named when it is the target", async () => {
    const rule: FaultRule = { match: { method: "PUT" }, action: { type: "slow-request", bytesPerSecond: 1 } };
    const { source, target } = await pair({}, { rules: [rule] });
    const { report } = await transfer(source, target, randomBytes(32 * MIB));
    expect(report).toMatchObject({
      result: { kind: "failed", error: { code: "stalled", side: "target", host: target.host } },
      source: { class: "ok" },
      target: { class: "failed" },
    });
  });

  it("is named when it does not answer at all", async () => {
    const { source, target } = await pair({ rules: [get({ type: "hang" })] });
    const { report } = await transfer(source, target, randomBytes(10));
    expect(report.result).toMatchObject({ kind: "failed", error: { code: "stalled", side: "source" } });
    expect(target.openUploads()).toEqual([]);
  });

  it("does not look like a slow one that goes on", async () => {
    const { source, target } = await pair({ rules: [get({ type: "slow", bytesPerSecond: 400_000 })] });
    const { report } = await transfer(source, target, randomBytes(600_000));
    expect(report.result).toEqual({ kind: "copied" });
  });
});

describe("a lost lease", () => {
  it("breaks both streams off, closes the upload session and books nothing", async () => {
    const { source, target } = await pair({ rules: [get({ type: "slow", bytesPerSecond: 2 * MIB })] });
    const order = { letGo: { afterBytes: 100_000, why: "lost" } } as const;
    const { report } = await transfer(source, target, randomBytes(8 * MIB), { order });
    expect(report.result).toEqual({ kind: "returned" });
    expect(report.source.class).not.toBe("failed");
    expect(report.target.class).not.toBe("failed");
    expect(target.openUploads()).toEqual([]);
  });
});

describe("many transfers", () => {
  it("share one invocation's six connections without waiting for one another for ever", async () => {
    const { source, target } = await pair();
    const blobs = Array.from({ length: 40 }, (_, index) => randomBytes(70_000 + index));
    const transfers = blobs.map((bytes) => {
      put(source, FROM, bytes);
      return transferOf(source, bytes);
    });
    const settings = { source: settingsFor(source.host), target: settingsFor(target.host) };
    const { reports, unhandled } = await driver.run({ transfers, ...settings, idleMs: 10_000 });
    expect(reports.map(({ result }) => result.kind)).toEqual(blobs.map(() => "copied"));
    expect(target.recorder.maxConcurrent).toBeLessThanOrEqual(6);
    expect(unhandled).toEqual([]);
  });

  it("move a large blob in constant memory", async () => {
    const { source, target } = await pair({}, { discard: true });
    const move = async (sizeBytes: number): Promise<number | null> => {
      const digest = source.storage.addRepeatedBlob(FROM, randomBytes(MIB), sizeBytes);
      const transfers = [transferOf(source, Buffer.alloc(0), { digest, sizeBytes })];
      const settings = { source: settingsFor(source.host), target: settingsFor(target.host) };
      const { reports } = await driver.run({ transfers, ...settings, idleMs: 10_000 });
      expect(reports[0]).toMatchObject({ result: { kind: "copied" }, bytes: sizeBytes });
      return driver.peakMemoryBytes();
    };
    const before = await move(32 * MIB);
    const after = await move(256 * MIB);
    if (before !== null && after !== null) {
      expect(after - before).toBeLessThan(64 * MIB);
    }
  });
});

async function pair(
  sourceOptions: RegistryOptions = {},
  targetOptions: RegistryOptions = {},
): Promise<{ source: TestRegistry; target: TestRegistry }> {
  const [source, target] = await Promise.all([startRegistry(sourceOptions), startRegistry(targetOptions)]);
  registries.push(source, target);
  return { source, target };
}

interface Variation {
  offer?: Partial<BlobOffer>;
  mountFrom?: string[];
  attempt?: number;
  settings?: Partial<HostSettings>;
  order?: Partial<TransferOrder>;
}

/** Puts the bytes into the source and has the driver move them. Nothing may be left unhandled, whatever happens. */
async function transfer(
  source: TestRegistry,
  target: TestRegistry,
  bytes: Buffer,
  { offer = {}, mountFrom = [], attempt = 1, settings = {}, order = {} }: Variation = {},
): Promise<{ report: TransferReport }> {
  put(source, FROM, bytes, offer.digest);
  const { reports, unhandled } = await driver.run({
    transfers: [{ ...transferOf(source, bytes, offer), mountFrom, attempt }],
    source: settingsFor(source.host),
    target: settingsFor(target.host, settings),
    idleMs: IDLE_MS,
    ...order,
  });
  expect(unhandled).toEqual([]);
  const [report] = reports;
  if (report === undefined) {
    throw new Error("the driver reported nothing");
  }
  return { report };
}

function transferOf(source: TestRegistry, bytes: Buffer, offer: Partial<BlobOffer> = {}): Transfer {
  const digest = offer.digest ?? digestOf(bytes);
  return {
    lease: `lease of ${digest}`,
    loan: null,
    job: "job",
    mountFrom: [],
    attempt: 1,
    offer: {
      id: `job/${TO}@${digest}`,
      sizeBytes: bytes.length,
      targetRepository: TO,
      sourceHost: source.host,
      sourceRepository: FROM,
      mayExist: false,
      since: 0,
      ...offer,
      digest,
    },
  };
}

/** A rule for GETs of blobs. */
function get(action: FaultRule["action"], limits: { times?: number } = {}): FaultRule {
  return { match: { method: "GET", path: "/blobs/" }, action, ...limits };
}

function put(registry: TestRegistry, repository: string, bytes: Buffer, digest = digestOf(bytes)): void {
  registry.storage.addBlob(repository, digest, { sizeBytes: bytes.length, pieces: [bytes] });
}

/** Whether the target holds exactly these bytes. */
function holds(registry: TestRegistry, bytes: Buffer): boolean {
  const pieces = registry.storage.blobIn(TO, digestOf(bytes))?.pieces ?? [];
  return pieces.length > 0 && Buffer.concat(pieces).equals(bytes);
}

function methods(registry: TestRegistry): string[] {
  return registry.requests.map(({ method }) => method);
}

function digestOf(bytes: Buffer): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

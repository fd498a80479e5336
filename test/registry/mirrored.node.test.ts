/** The order of places, what a failure means for them, and a registry read through its mirrors. */
import { describe, expect, test, vi } from "vitest";
import type { ReferrerList, Registry } from "../../src/registry/contract.ts";
import { CopyError, type ErrorDetail } from "../../src/registry/errors.ts";
import type { Slot } from "../../src/registry/gate.ts";
import { createMirrored, impatient } from "../../src/registry/mirrored.ts";
import { Choice, mirrorVerdict, placesToRead } from "../../src/registry/places.ts";
import { listAllTags } from "../../src/registry/tags.ts";
import { MemoryRegistry } from "../job/memory-registry.ts";

const SOURCE = { host: "docker.io", repository: "library/alpine" };
const TARGET = { host: "t.example", repository: "mirror/alpine" };
const MANIFEST = "application/vnd.oci.image.manifest.v1+json";

function errorOf(code: ErrorDetail["code"], side: ErrorDetail["side"] = "source"): CopyError {
  return new CopyError({
    code,
    side,
    host: "m.example",
    operation: "read",
    retryable: false,
    message: `it is ${code}`,
  });
}

describe("the places of a source", () => {
  test.each<[string[], string[]]>([
    [[], ["docker.io library/alpine"]],
    [
      ["a.example", "b.example/hub"],
      ["a.example library/alpine", "b.example hub/library/alpine", "docker.io library/alpine"],
    ],
    // What a copy writes is never what it reads.
    [
      ["t.example/mirror", "t.example"],
      ["t.example mirror/library/alpine", "t.example library/alpine", "docker.io library/alpine"],
    ],
  ])("with mirrors %j", (mirrors, expected) => {
    expect(placesToRead(SOURCE, mirrors, TARGET).map(({ host, repository }) => `${host} ${repository}`)).toEqual(
      expected,
    );
  });

  test("never have the target among them", () => {
    const target = { host: "b.example", repository: "hub/library/alpine" };
    expect(placesToRead(SOURCE, ["b.example/hub"], target)).toEqual([SOURCE]);
  });
});

describe("a failed read at a mirror", () => {
  test.each<[ErrorDetail["code"], string]>([
    ["not_found", "elsewhere"],
    ["digest_mismatch", "elsewhere"],
    ["manifest_invalid", "elsewhere"],
    ["unauthorized", "refused"],
    ["denied", "refused"],
    ["connection", "rest"],
    ["unavailable", "rest"],
    ["stalled", "rest"],
    ["rate_limited", "rest"],
    ["cancelled", "stop"],
  ])("%s: %s", (code, verdict) => {
    expect(mirrorVerdict(errorOf(code).detail)).toBe(verdict);
  });

  test("that is the target's or the service's fault stops", () => {
    expect(mirrorVerdict(errorOf("connection", "target").detail)).toBe("stop");
    expect(mirrorVerdict(errorOf("internal", "service").detail)).toBe("stop");
  });

  test("in trouble it rests for a minute; refused, for good; the others go on", () => {
    const choice = new Choice(3);
    choice.failed(0, "rest", 1_000);
    choice.failed(1, "refused", 1_000);
    choice.failed(2, "elsewhere", 1_000);
    expect(choice.order(1_000)).toEqual([2]);
    expect(choice.order(60_999)).toEqual([2]);
    expect(choice.order(61_000)).toEqual([0, 2]);
    expect(choice.order(61_000, 1)).toEqual([2]);
  });
});

/** As a source, whose failures are its own. */
class MemorySource extends MemoryRegistry {
  override error(code: ErrorDetail["code"]): CopyError {
    return errorOf(code);
  }

  override async listReferrers(): Promise<ReferrerList> {
    this.log.push("REFERRERS");
    return { referrers: [], from: "tag", warnings: [] };
  }
}

class Bench {
  readonly mirror = new MemorySource("m.example");
  readonly host = new MemorySource("docker.io");
  nowMs = 0;

  read(options: { listsAtSource?: boolean } = {}): Registry {
    return createMirrored({
      mirrors: [{ registry: this.mirror, repository: "hub/app" }],
      source: { registry: this.host, repository: "app" },
      now: () => this.nowMs,
      listsAtSource: options.listsAtSource === true,
    });
  }
}

describe("a registry read through a mirror", () => {
  test("asks the mirror, and says that it was it", async () => {
    const bench = new Bench();
    const { digest } = bench.mirror.keep({ a: 1 }, MANIFEST, "v1");
    const registry = bench.read();
    expect(await registry.headManifest("app", "v1")).toMatchObject({ digest });
    expect(await registry.getManifest("app", digest)).toMatchObject({ digest, place: 0 });
    expect(bench.host.log).toEqual([]);
    expect(registry.host).toBe("docker.io");
  });

  test("asks the host for what the mirror does not have", async () => {
    const bench = new Bench();
    const { digest } = bench.host.keep({ a: 1 }, MANIFEST, "v1");
    const registry = bench.read();
    expect(await registry.headManifest("app", "v1")).toMatchObject({ digest });
    expect(await registry.getManifest("app", digest)).toMatchObject({ digest, place: 1 });
    expect(await registry.headManifest("app", "v2")).toBeNull();
    await expect(registry.getManifest("app", "v2")).rejects.toMatchObject({ detail: { code: "not_found" } });
    expect(bench.host.log.at(-1)).toBe("GET v2");
    expect(bench.mirror.log).toEqual(["HEAD v1", `GET ${digest}`, "HEAD v2", "GET v2"]);
    expect(registry.usage.warnings).toEqual([]);
  });

  test("leaves a mirror in trouble alone for a while, and says so once", async () => {
    const bench = new Bench();
    bench.host.keep({ a: 1 }, MANIFEST, "v1");
    bench.mirror.before = () => {
      throw errorOf("unavailable");
    };
    const registry = bench.read();
    await registry.headManifest("app", "v1");
    await registry.headManifest("app", "v1");
    expect(bench.mirror.log).toHaveLength(1);
    expect(registry.usage.warnings).toEqual(["The mirror m.example was passed over: it is unavailable"]);
    bench.nowMs = 60_000;
    await registry.headManifest("app", "v1");
    expect(bench.mirror.log).toHaveLength(2);
    expect(registry.usage.warnings).toHaveLength(1);
  });

  test("ends with the copy, not with the mirror", async () => {
    const bench = new Bench();
    bench.mirror.before = () => {
      throw errorOf("cancelled");
    };
    await expect(bench.read().headManifest("app", "v1")).rejects.toMatchObject({ detail: { code: "cancelled" } });
    expect(bench.host.log).toEqual([]);
  });

  test("writes to the host alone", async () => {
    const bench = new Bench();
    const { digest } = bench.mirror.keep({ a: 1 }, MANIFEST);
    const registry = bench.read();
    await registry.putManifest("app", "v1", await registry.getManifest("app", digest));
    await registry.deleteTag("app", "v1");
    expect(bench.mirror.log).toEqual([`GET ${digest}`]);
    expect(bench.host.log).toHaveLength(2);
  });

  test("counts what all places were asked", () => {
    const bench = new Bench();
    bench.mirror.usage.requests = 2;
    bench.host.usage.requests = 3;
    bench.mirror.usage.warnings.push("slow");
    expect(bench.read().usage).toMatchObject({ requests: 5, warnings: ["slow"] });
  });

  test("asks the host where the mirror knows no referrers", async () => {
    const bench = new Bench();
    await bench.read().listReferrers("app", `sha256:${"a".repeat(64)}`);
    expect([bench.mirror.log, bench.host.log]).toEqual([["REFERRERS"], ["REFERRERS"]]);
  });
});

describe("tags through a mirror", () => {
  function listed(): Bench {
    const bench = new Bench();
    bench.mirror.pageTags = 1;
    bench.mirror.keep({ a: 1 }, MANIFEST, "v1", "v2", "v3");
    bench.host.keep({ a: 2 }, MANIFEST, "v2", "v3", "v4");
    return bench;
  }

  test("come from the mirror, page by page", async () => {
    const bench = listed();
    expect(await listAllTags(bench.read(), "source", "app")).toEqual(["v1", "v2", "v3"]);
    expect(bench.host.log).toEqual([]);
  });

  test("come from the host where others are to be removed by them", async () => {
    const bench = listed();
    expect(await listAllTags(bench.read({ listsAtSource: true }), "source", "app")).toEqual(["v2", "v3", "v4"]);
    expect(bench.mirror.log).toEqual([]);
  });

  test("of a list that breaks off are those of both", async () => {
    const bench = listed();
    bench.mirror.before = () => {
      if (bench.mirror.log.length > 1) {
        throw errorOf("connection");
      }
    };
    expect(await listAllTags(bench.read(), "source", "app")).toEqual(["v1", "v2", "v3", "v4"]);
  });

  test("of a host that names no next page are asked of the place that began", async () => {
    const bench = new Bench();
    bench.host.keep({ a: 1 }, MANIFEST, "v1");
    const asked: unknown[] = [];
    bench.host.listTags = async (_, page) => {
      const cursor = page?.cursor;
      asked.push(cursor);
      return {
        tags: cursor === undefined ? Array.from({ length: 1_000 }, (_each, index) => `v${index}`) : ["last"],
        next: null,
      };
    };
    expect(await listAllTags(bench.read(), "source", "app")).toHaveLength(1_001);
    expect(asked).toEqual([undefined, "?n=1000&last=v999"]);
    expect(bench.mirror.log).toEqual(["TAGS"]);
  });
});

describe("a gate that does not wait", () => {
  test("gives up, and gives the late slot back unused", async () => {
    vi.useFakeTimers();
    try {
      const granted = Promise.withResolvers<Slot>();
      const gate = impatient({ acquire: () => granted.promise, authorize: async () => null }, "m.example", 5_000);
      const refused = gate.acquire("head", 0).catch((error: unknown) => error);
      await vi.advanceTimersByTimeAsync(5_000);
      expect(await refused).toMatchObject({ detail: { code: "unavailable", host: "m.example", retryable: false } });
      const release = vi.fn<Slot["release"]>();
      granted.resolve({ release });
      await vi.advanceTimersByTimeAsync(0);
      expect(release).toHaveBeenCalledWith({ class: "unused" });
    } finally {
      vi.useRealTimers();
    }
  });
});

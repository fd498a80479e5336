import { describe, expect, it } from "vitest";
import { fallbackEntryOf, ReferrerWalk, wantedReferrers, withReferrers } from "../../src/copy/referrers.ts";
import type { Manifest, Referrer } from "../../src/registry/contract.ts";
import { digestOf } from "../../src/registry/digest.ts";
import { CopyError } from "../../src/registry/errors.ts";
import { OCI_INDEX, OCI_MANIFEST } from "../../src/registry/media-types.ts";

const digest = (letter: string): string => `sha256:${letter.repeat(64)}`;
const AT = { host: "r.example", name: "a:sha256-5" };

function manifest(document: object, mediaType = OCI_MANIFEST): Manifest {
  const bytes = new TextEncoder().encode(JSON.stringify(document));
  return { digest: digestOf(bytes), mediaType, bytes };
}

function referrer(letter: string, more: Partial<Referrer> = {}): Referrer {
  return { mediaType: OCI_MANIFEST, digest: digest(letter), size: 1, ...more };
}

describe("which referrers a copy follows", () => {
  const all = [
    referrer("a", { artifactType: "sbom", annotations: { kind: "spdx", at: "1" } }),
    referrer("b", { artifactType: "signature", annotations: { kind: "spdx" } }),
    referrer("c", { annotations: { kind: "other" } }),
    referrer("d"),
  ];

  it.each([
    ["no condition", {}, "abcd"],
    ["an empty list of types", { artifactTypes: [] }, "abcd"],
    ["one type", { artifactTypes: ["sbom"] }, "a"],
    ["one of two types", { artifactTypes: ["sbom", "signature"] }, "ab"],
    ["an annotation", { annotations: { kind: "spdx" } }, "ab"],
    ["an annotation whatever its value", { annotations: { kind: "" } }, "abc"],
    ["all of it", { artifactTypes: ["signature"], annotations: { kind: "spdx", at: "" } }, ""],
  ])("%s", (_name, filter, expected) => {
    expect(
      wantedReferrers(all, filter)
        .map((each) => each.digest.charAt(7))
        .join(""),
    ).toBe(expected);
  });
});

describe("the walk from subject to referrer", () => {
  it("ends where referrers refer to one another in a circle", () => {
    const referrersOf: Record<string, string[]> = { a: ["b", "c"], b: ["a", "c"], c: ["c", "a"] };
    const walk = new ReferrerWalk();
    const asked: string[] = [];
    const pending = walk.take(["a"]);
    for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
      asked.push(next);
      pending.push(...walk.take(referrersOf[next] ?? []));
    }
    expect(asked.toSorted()).toEqual(["a", "b", "c"]);
  });

  it("goes on where an earlier run stopped", () => {
    expect(new ReferrerWalk(["a"]).take(["a", "b", "b"])).toEqual(["b"]);
  });

  it("gives up beyond ten thousand", () => {
    const walk = new ReferrerWalk();
    const digests = Array.from({ length: 10_000 }, (_, index) => String(index));
    expect(walk.take(digests)).toHaveLength(10_000);
    expect(() => walk.take(["one more"])).toThrow(CopyError);
  });
});

describe("the entry of a referrer", () => {
  const subject = { mediaType: OCI_INDEX, digest: digest("5"), size: 3 };
  const config = { mediaType: "application/vnd.config", digest: digest("e"), size: 2 };

  it.each<[string, object, string, object]>([
    ["the manifest's own type", { artifactType: "sbom", config }, OCI_MANIFEST, { artifactType: "sbom" }],
    ["its config's type", { config }, OCI_MANIFEST, { artifactType: "application/vnd.config" }],
    [
      "its config's type for an empty one",
      { artifactType: "", config },
      OCI_MANIFEST,
      { artifactType: config.mediaType },
    ],
    ["an index's own type", { artifactType: "sbom", manifests: [] }, OCI_INDEX, { artifactType: "sbom" }],
    ["no type", { manifests: [] }, OCI_INDEX, {}],
    [
      "every annotation",
      { artifactType: "x", annotations: { a: "1", b: "" } },
      OCI_MANIFEST,
      { artifactType: "x", annotations: { a: "1", b: "" } },
    ],
  ])("has %s", (_name, document, mediaType, expected) => {
    const referring = manifest({ ...document, subject }, mediaType);
    const { digest: own, bytes } = referring;
    expect(fallbackEntryOf(referring)).toEqual({
      subject: digest("5"),
      entry: { mediaType, digest: own, size: bytes.byteLength, ...expected },
    });
  });

  it.each([{}, { subject: null }, { subject: { digest: "x" } }, { subject: "sha256:5" }])(
    "is none for a manifest with %j",
    (document) => {
      expect(fallbackEntryOf(manifest({ config, ...document }))).toBeNull();
    },
  );
});

describe("the list of referrers under a fallback tag", () => {
  const entries = (list: Manifest | null): unknown =>
    list === null ? null : JSON.parse(new TextDecoder().decode(list.bytes)).manifests;

  it("begins as an empty index, and gets each digest once", () => {
    const list = withReferrers(null, [referrer("a", { artifactType: "x" }), referrer("b"), referrer("a")], AT);
    expect(entries(list)).toEqual([referrer("a", { artifactType: "x" }), referrer("b")]);
    expect(list).toMatchObject({ mediaType: OCI_INDEX, digest: digestOf(list?.bytes ?? new Uint8Array()) });
  });

  it("leaves what others have written as it is, in its order", () => {
    const others = [{ ...referrer("z"), "org.example.unknown": 1 }, "nonsense", referrer("a", { artifactType: "old" })];
    const before = manifest(
      { schemaVersion: 2, mediaType: OCI_INDEX, annotations: { k: "v" }, manifests: others },
      OCI_INDEX,
    );
    const after = withReferrers(before, [referrer("a", { artifactType: "new" }), referrer("b")], AT);
    expect(entries(after)).toEqual([...others, referrer("b")]);
    expect(JSON.parse(new TextDecoder().decode(after?.bytes))).toMatchObject({ annotations: { k: "v" } });
  });

  it("stays untouched when all is there", () => {
    const list = withReferrers(null, [referrer("a"), referrer("b")], AT);
    expect(withReferrers(list, [referrer("b"), referrer("a")], AT)).toBeNull();
    expect(withReferrers(null, [], AT)).toBeNull();
  });

  it("has the same bytes whichever order an entry's fields came in", () => {
    const entry = referrer("a", { artifactType: "x", annotations: { k: "v" } });
    const turned = Object.assign({}, Object.fromEntries(Object.entries(entry).toReversed()), entry);
    expect(Object.keys(turned)).not.toEqual(Object.keys(entry));
    expect(withReferrers(null, [turned], AT)?.digest).toBe(withReferrers(null, [entry], AT)?.digest);
  });

  it.each<[string, Manifest, RegExp]>([
    ["an image", manifest({ config: {}, layers: [] }), /is no index/],
    ["no JSON", { digest: digest("0"), mediaType: OCI_INDEX, bytes: new Uint8Array([1]) }, /is no index/],
    ["entries that are no list", manifest({ manifests: {} }, OCI_INDEX), /is no index/],
  ])("is not made of %s", (_name, list, reason) => {
    expect(() => withReferrers(list, [referrer("a")], AT)).toThrow(reason);
  });

  it("does not grow beyond what registries take", () => {
    const long = referrer("a", { annotations: { note: "x".repeat(4 * 1024 * 1024) } });
    expect(() => withReferrers(null, [long], AT)).toThrow(/4 MiB/);
  });
});

import { describe, expect, it } from "vitest";
import { digestOf } from "../../src/registry/digest.ts";
import { fallbackTagOf } from "../../src/registry/fallback-tag.ts";
import { OCI_INDEX, OCI_MANIFEST } from "../../src/registry/media-types.ts";
import { startRegistry, type TestRegistry } from "../registry-server/server.ts";
import { clientOf, json, refusal, serve } from "./support.ts";

const SUBJECT = `sha256:${"5".repeat(64)}`;
const TAG = fallbackTagOf(SUBJECT);
const SIGNATURE = "application/vnd.example.signature";
const SBOM = "application/vnd.example.sbom";

const digest = (letter: string): string => `sha256:${letter.repeat(64)}`;

function entry(letter: string, artifactType = SBOM): Record<string, unknown> {
  return { mediaType: OCI_MANIFEST, digest: digest(letter), size: 10, artifactType, annotations: { note: letter } };
}

const indexOf = (...manifests: unknown[]) => ({ schemaVersion: 2, mediaType: OCI_INDEX, manifests });

function store(registry: TestRegistry, tag: string | null, document: object): { digest: string; size: number } {
  const bytes = Buffer.from(JSON.stringify(document));
  const repository = registry.storage.repository("a/b");
  const stored = digestOf(bytes);
  const mediaType = "mediaType" in document ? String(document.mediaType) : OCI_MANIFEST;
  repository.manifests.set(stored, { bytes, mediaType });
  if (tag !== null) {
    repository.tags.set(tag, stored);
  }
  return { digest: stored, size: bytes.length };
}

const referrerOf = (artifactType: string) => ({
  schemaVersion: 2,
  mediaType: OCI_MANIFEST,
  artifactType,
  config: { mediaType: "application/vnd.oci.empty.v1+json", digest: digest("e"), size: 2 },
  layers: [],
  subject: { mediaType: OCI_INDEX, digest: SUBJECT, size: 3 },
  annotations: { note: artifactType },
});

/** Answers each page of referrers from a table by query; 404 for everything else. */
function paged(pages: Record<string, { body: unknown; link?: string; headers?: Record<string, string> }>) {
  return serve((seen, response) => {
    const url = new URL(seen.url, "http://x");
    const page = url.pathname === `/v2/a/referrers/${SUBJECT}` ? pages[url.search] : undefined;
    const headers = { "content-type": OCI_INDEX, ...page?.headers, ...(page?.link && { link: page.link }) };
    return page === undefined ? json(response, 404, {}) : json(response, 200, page.body, headers);
  });
}

describe("where there is the referrers API", () => {
  it("lists what refers to a digest in one request, with type and annotations", async () => {
    await using registry = await startRegistry({ referrers: true });
    const sbom = store(registry, null, referrerOf(SBOM));
    store(registry, null, referrerOf(SIGNATURE));
    const { registry: client } = clientOf(registry.host);
    const all = await client.listReferrers("a/b", SUBJECT);
    expect(all?.from).toBe("api");
    expect(all?.referrers.map(({ artifactType }) => artifactType)).toEqual([SBOM, SIGNATURE]);
    expect(client.usage.requests).toBe(1);
    expect(await client.listReferrers("a/b", SUBJECT, { artifactType: SBOM })).toEqual({
      from: "api",
      warnings: [],
      referrers: [{ mediaType: OCI_MANIFEST, ...sbom, artifactType: SBOM, annotations: { note: SBOM } }],
    });
    expect(registry.requests.at(-1)?.query.artifactType).toBe(SBOM);
    expect((await client.listReferrers("a/b", digest("9")))?.referrers).toEqual([]);
  });

  it("goes from page to page, and names a digest once", async () => {
    await using registry = await paged({
      "": { body: indexOf(entry("a"), entry("b")), link: `</v2/a/referrers/${SUBJECT}?token=x>; rel="next"` },
      "?token=x": { body: indexOf(entry("b"), entry("c")) },
    });
    const list = await clientOf(registry.host).registry.listReferrers("a", SUBJECT);
    expect(list?.referrers.map((each) => each.digest)).toEqual(["a", "b", "c"].map(digest));
  });

  it("filters by itself what the registry did not", async () => {
    const query = `?artifactType=${encodeURIComponent(SIGNATURE)}`;
    await using registry = await paged({ [query]: { body: indexOf(entry("a"), entry("b", SIGNATURE)) } });
    const list = await clientOf(registry.host).registry.listReferrers("a", SUBJECT, { artifactType: SIGNATURE });
    expect(list?.referrers.map((each) => each.digest)).toEqual([digest("b")]);
  });

  it.each([
    ["a page that is its own next", `</v2/a/referrers/${SUBJECT}>; rel="next"`, /circle/],
    ["a next page at another host", '<http://evil.example/v2/a/referrers/x>; rel="next"', /evil\.example/],
    ["a next page that is not there", `</v2/a/referrers/${SUBJECT}?token=gone>; rel="next"`, /next page/],
  ])("refuses %s", async (_name, link, reason) => {
    await using registry = await paged({ "": { body: indexOf(entry("a")), link } });
    const detail = await refusal(clientOf(registry.host).registry.listReferrers("a", SUBJECT));
    expect(detail.message).toMatch(reason);
    expect(registry.seen.length).toBeLessThanOrEqual(2);
  });

  it("leaves out entries that are no descriptors, and says so", async () => {
    const sizeless = ["1", -1].map((size) => ({ digest: digest("b"), size }));
    const body = indexOf(entry("a"), { digest: "x", size: 1 }, null, ...sizeless);
    await using registry = await paged({ "": { body } });
    const list = await clientOf(registry.host).registry.listReferrers("a", SUBJECT);
    expect(list?.referrers).toHaveLength(1);
    expect(list?.warnings).toHaveLength(1);
  });

  it("refuses a page of more than 4 MiB", async () => {
    const body = indexOf({ ...entry("a"), annotations: { note: "x".repeat(4 * 1024 * 1024) } });
    await using registry = await paged({ "": { body } });
    const detail = await refusal(clientOf(registry.host).registry.listReferrers("a", SUBJECT));
    expect(detail.code).toBe("manifest_too_large");
  });
});

describe("where there is no referrers API", () => {
  it("reads the fallback tag, and asks for the API once per repository", async () => {
    await using registry = await startRegistry();
    store(registry, TAG, indexOf(entry("a"), entry("b", SIGNATURE)));
    const { registry: client } = clientOf(registry.host);
    expect(await client.listReferrers("a/b", SUBJECT)).toMatchObject({
      from: "tag",
      referrers: [{ digest: digest("a"), artifactType: SBOM, annotations: { note: "a" } }, { digest: digest("b") }],
    });
    expect((await client.listReferrers("a/b", SUBJECT, { artifactType: SIGNATURE }))?.referrers).toHaveLength(1);
    expect((await client.listReferrers("a/b", digest("9")))?.referrers).toEqual([]);
    expect(registry.requests.map(({ path }) => path.split("/").at(-2))).toEqual([
      "referrers",
      "manifests",
      "manifests",
      "manifests",
    ]);
  });

  it("does not ask for a tag that the listing does not have", async () => {
    await using registry = await startRegistry();
    store(registry, TAG, indexOf(entry("a")));
    const { registry: client } = clientOf(registry.host);
    const listed = { listedTags: new Set([TAG]) };
    expect((await client.listReferrers("a/b", digest("9"), listed))?.referrers).toEqual([]);
    expect((await client.listReferrers("a/b", SUBJECT, listed))?.referrers).toHaveLength(1);
    expect(registry.requests).toHaveLength(2);
  });

  it.each([
    ["an image", { schemaVersion: 2, mediaType: OCI_MANIFEST, config: {}, layers: [] }],
    [
      "Docker's list",
      { schemaVersion: 2, mediaType: "application/vnd.docker.distribution.manifest.list.v2+json", manifests: [] },
    ],
    ["an index whose entries are no list", { schemaVersion: 2, mediaType: OCI_INDEX, manifests: {} }],
  ])("takes %s under that tag for no list, and says so", async (_name, document) => {
    await using registry = await startRegistry();
    store(registry, TAG, document);
    const list = await clientOf(registry.host).registry.listReferrers("a/b", SUBJECT);
    expect(list).toMatchObject({ referrers: [], from: "tag" });
    expect(list?.warnings[0]).toMatch(new RegExp(`a/b:${TAG} is no OCI index`));
  });

  it.each([400, 403, 404, 405, 406, 501])("a %i is an answer of a registry without it", async (status) => {
    await using registry = await serve((seen, response) =>
      seen.url.includes("/referrers/")
        ? json(response, status, { errors: [{ code: "UNSUPPORTED" }] })
        : json(response, 200, indexOf(entry("a")), { "content-type": OCI_INDEX }),
    );
    const list = await clientOf(registry.host).registry.listReferrers("a", SUBJECT);
    expect(list).toMatchObject({ from: "tag", referrers: [{ digest: digest("a") }] });
  });

  it.each<Record<string, string>>([{ "www-authenticate": 'Basic realm="r"' }, {}])(
    "neither is a 401 to a login that is good for the tag, with the challenge %j",
    async (challenge) => {
      await using registry = await serve((seen, response) => {
        if (seen.headers.authorization === undefined) {
          return json(response, 401, {}, { "www-authenticate": 'Basic realm="r"' });
        }
        return seen.url.includes("/referrers/")
          ? json(response, 401, {}, challenge)
          : json(response, 200, indexOf(entry("a")), { "content-type": OCI_INDEX });
      });
      const credential = { kind: "basic", username: "me", password: "secret" } as const;
      const { registry: client } = clientOf(registry.host, { credential });
      const list = await client.listReferrers("a", SUBJECT);
      expect(list).toMatchObject({ from: "tag", referrers: [{ digest: digest("a") }] });
    },
  );

  it("but one that is good for nothing there is an error", async () => {
    await using registry = await serve((_seen, response) => json(response, 401, {}));
    expect((await refusal(clientOf(registry.host).registry.listReferrers("a", SUBJECT))).code).toBe("unauthorized");
  });

  it.each([
    ["a web page", "text/html", "<html>"],
    ["something else in JSON", "application/json", '{"mediaType":"application/x","manifests":[]}'],
  ])("%s is no answer of the API", async (_name, type, body) => {
    await using registry = await serve((seen, response) =>
      seen.url.includes("/referrers/")
        ? response.writeHead(200, { "content-type": type }).end(body)
        : json(response, 404, { errors: [{ code: "MANIFEST_UNKNOWN" }] }),
    );
    expect(await clientOf(registry.host).registry.listReferrers("a", SUBJECT)).toEqual({
      from: "tag",
      referrers: [],
      warnings: [],
    });
  });
});

describe("what is not there", () => {
  it("is told from a repository without the API: null", async () => {
    await using registry = await serve((_seen, response) =>
      json(response, 404, { errors: [{ code: "NAME_UNKNOWN" }] }),
    );
    const { registry: client } = clientOf(registry.host);
    expect(await client.listReferrers("a", SUBJECT)).toBeNull();
    expect(await client.listReferrers("a", SUBJECT)).toBeNull();
  });

  it("a failure is an error, never an empty list", async () => {
    await using registry = await serve((seen, response) =>
      json(response, seen.url.includes("/referrers/") ? 500 : 404, {}),
    );
    const { registry: client } = clientOf(registry.host, { client: { maxAttempts: 2 } });
    expect(await refusal(client.listReferrers("a", SUBJECT))).toMatchObject({ code: "unavailable", retryable: true });
    expect((await refusal(client.listReferrers("a", "latest"))).code).toBe("invalid_request");
  });
});

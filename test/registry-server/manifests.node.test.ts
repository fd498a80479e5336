import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { errorCode, pushBlob, send, sha256 } from "./client.ts";
import { startRegistry, type TestRegistry } from "./server.ts";

const TYPE = "application/vnd.oci.image.manifest.v1+json";
// Blanks on purpose: exact bytes must be kept.
const MANIFEST = `{ "schemaVersion": 2,  "mediaType": "${TYPE}" }\n`;

describe("manifests", () => {
  let registry: TestRegistry;
  const at = (reference: string, repository = "a/b"): string =>
    `${registry.url}/v2/${repository}/manifests/${reference}`;
  const put = (reference: string, body = MANIFEST, type = TYPE): Promise<Response> =>
    send("PUT", at(reference), { "content-type": type }, body);
  beforeAll(async () => {
    registry = await startRegistry();
  });
  afterAll(() => registry.close());

  test("are kept byte for byte, by tag and digest", async () => {
    const written = await put("v1");
    expect([written.status, written.headers.get("docker-content-digest")]).toEqual([201, sha256(MANIFEST)]);
    for (const reference of ["v1", sha256(MANIFEST)]) {
      const got = await send("GET", at(reference));
      expect([got.status, await got.text(), got.headers.get("content-type")]).toEqual([200, MANIFEST, TYPE]);
      const head = await send("HEAD", at(reference));
      expect([head.status, head.headers.get("content-length"), head.headers.get("docker-content-digest")]).toEqual([
        200,
        String(MANIFEST.length),
        sha256(MANIFEST),
      ]);
    }
  });

  test.each([
    ["under another digest", sha256("other"), MANIFEST, TYPE, "DIGEST_INVALID"],
    ["under an impossible tag", "-x", MANIFEST, TYPE, "MANIFEST_INVALID"],
    ["with another type than it names", "v2", MANIFEST, "application/json", "MANIFEST_INVALID"],
    ["that is not JSON", "v2", "no", TYPE, "MANIFEST_INVALID"],
    ["with a layer that is not there", "v2", withLayer(sha256("nowhere")), TYPE, "MANIFEST_BLOB_UNKNOWN"],
  ])("one %s is refused", async (_, reference, body, type, code) => {
    const refused = await put(reference, body, type);
    expect([refused.status, await errorCode(refused)]).toEqual([400, code]);
  });

  test("one whose layers are there, or elsewhere by urls, is taken", async () => {
    const digest = await pushBlob(registry.url, "a/b", "layer");
    expect((await put("layered", withLayer(digest))).status).toBe(201);
    expect((await put("foreign", withLayer(sha256("nowhere"), ["http://elsewhere.invalid/"]))).status).toBe(201);
  });

  test("one that is too large gets 413", async () => {
    expect((await put("large", `${MANIFEST}${" ".repeat(4 * 1024 * 1024)}`)).status).toBe(413);
  });

  test("unknown ones are told apart from unknown repositories", async () => {
    expect(await errorCode(await send("GET", at("nothing")))).toBe("MANIFEST_UNKNOWN");
    expect(await errorCode(await send("GET", at("nothing", "no/where")))).toBe("NAME_UNKNOWN");
  });

  test("DELETE of a tag leaves the manifest, of a digest takes its tags", async () => {
    const body = MANIFEST.replace("}", `, "x": 1 }`);
    await put("one", body);
    await put("two", body);
    expect((await send("DELETE", at("one"))).status).toBe(202);
    expect((await send("HEAD", at(sha256(body)))).status).toBe(200);
    expect((await send("DELETE", at(sha256(body)))).status).toBe(202);
    expect((await send("HEAD", at("two"))).status).toBe(404);
  });

  test("DELETE can be switched off", async () => {
    await using fixed = await startRegistry({ deletes: false });
    expect((await send("DELETE", `${fixed.url}/v2/a/manifests/v1`)).status).toBe(405);
  });
});

describe("listings", () => {
  test("tags come in pages with Link", async () => {
    await using registry = await startRegistry({ tagPageSize: 2 });
    for (const tag of ["c", "a", "e", "b", "d"]) {
      await send("PUT", `${registry.url}/v2/a/b/manifests/${tag}`, { "content-type": TYPE }, MANIFEST);
    }
    const pages: string[] = [];
    let next: string | undefined = "/v2/a/b/tags/list?n=100";
    while (next !== undefined) {
      const page: Response = await send("GET", registry.url + next);
      pages.push(await page.text());
      next = /^<([^>]+)>; rel="next"$/.exec(page.headers.get("link") ?? "")?.[1];
    }
    expect(pages.map((page) => /\[(.*)\]/.exec(page)?.[1])).toEqual(['"a","b"', '"c","d"', '"e"']);
    expect(await errorCode(await send("GET", `${registry.url}/v2/x/tags/list`))).toBe("NAME_UNKNOWN");
  });

  test("referrers are listed, filtered, and answered with OCI-Subject", async () => {
    await using registry = await startRegistry({ referrers: true });
    const subject = sha256(MANIFEST);
    const referrers = `${registry.url}/v2/a/b/referrers/${subject}`;
    for (const artifactType of ["x/signature", "x/sbom"]) {
      const body = JSON.stringify({ mediaType: TYPE, artifactType, subject: { digest: subject } });
      const put = await send("PUT", `${registry.url}/v2/a/b/manifests/${sha256(body)}`, { "content-type": TYPE }, body);
      expect([put.status, put.headers.get("oci-subject")]).toEqual([201, subject]);
    }
    const typesOf = async (response: Response): Promise<string[]> =>
      [...(await response.text()).matchAll(/"artifactType":"([^"]+)"/g)].map((match) => match[1] ?? "").toSorted();
    const all = await send("GET", referrers);
    expect(await typesOf(all)).toEqual(["x/sbom", "x/signature"]);
    expect(all.headers.get("oci-filters-applied")).toBeNull();
    const some = await send("GET", `${referrers}?artifactType=x/sbom`);
    expect(some.headers.get("oci-filters-applied")).toBe("artifactType");
    expect(await typesOf(some)).toEqual(["x/sbom"]);
  });

  test("a registry without referrers API answers 404 and no OCI-Subject", async () => {
    await using registry = await startRegistry();
    const body = JSON.stringify({ mediaType: TYPE, subject: { digest: sha256(MANIFEST) } });
    const put = await send("PUT", `${registry.url}/v2/a/b/manifests/v1`, { "content-type": TYPE }, body);
    expect([put.status, put.headers.get("oci-subject")]).toEqual([201, null]);
    expect((await send("GET", `${registry.url}/v2/a/b/referrers/${sha256(MANIFEST)}`)).status).toBe(404);
  });
});

function withLayer(digest: string, urls?: string[]): string {
  return JSON.stringify({ mediaType: TYPE, layers: [{ mediaType: "x/y", digest, size: 5, urls }] });
}

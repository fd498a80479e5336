import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openUpload, pushBlob, send, sha256 } from "./client.ts";
import { type FaultAction, startRegistry, type TestRegistry } from "./server.ts";

const CONTENT = "0123456789";
const DIGEST = sha256(CONTENT);

describe("faults", () => {
  let registry: TestRegistry;
  let blob: string;
  const onBlobs = (action: FaultAction): void =>
    registry.faults.add({ match: { method: "GET", path: /\/blobs\// }, action });
  beforeEach(async () => {
    registry = await startRegistry();
    await pushBlob(registry.url, "a", CONTENT);
    blob = `${registry.url}/v2/a/blobs/${DIGEST}`;
    registry.recorder.reset();
  });
  afterEach(() => registry.close());

  test("rules pass some, strike some, and count each path on its own when told", async () => {
    registry.faults.add({ match: { method: ["GET"] }, skip: 1, times: 2, action: { type: "status", status: 503 } });
    const statuses: number[] = [];
    for (let i = 0; i < 4; i++) {
      statuses.push((await send("GET", blob)).status);
    }
    expect(statuses).toEqual([200, 503, 503, 200]);
    registry.faults.clear();
    registry.faults.add({ times: 1, perPath: true, action: { type: "status", status: 503 } });
    expect([(await send("GET", blob)).status, (await send("GET", blob)).status]).toEqual([503, 200]);
    expect((await send("GET", `${registry.url}/v2/`)).status).toBe(503);
  });

  test("a status comes with its headers and an error body", async () => {
    onBlobs({ type: "status", status: 429, code: "TOOMANYREQUESTS", headers: { "retry-after": "3" } });
    const got = await send("GET", blob);
    expect([got.status, got.headers.get("retry-after")]).toEqual([429, "3"]);
    expect(await got.text()).toContain("TOOMANYREQUESTS");
  });

  test.each<[string, FaultAction]>([
    ["reset before an answer", { type: "reset", afterBytes: 0 }],
    ["reset in the body", { type: "reset", afterBytes: 4 }],
    ["end in the body", { type: "truncate", afterBytes: 4 }],
    ["body shorter than declared", { type: "content-length", off: 5 }],
    ["hang that is cut", { type: "hang", ms: 1 }],
  ])("%s: the client never gets a whole answer", async (_, action) => {
    onBlobs(action);
    await expect(send("GET", blob).then((got) => got.text())).rejects.toThrow(/terminated|fetch failed/);
    expect(registry.requests[0]?.bytesOut).toBe(
      "afterBytes" in action ? action.afterBytes : action.type === "hang" ? 0 : 10,
    );
  });

  test("stall: some bytes, then nothing, until the client leaves", async () => {
    onBlobs({ type: "stall", afterBytes: 4 });
    const leave = new AbortController();
    const got = await fetch(blob, { signal: leave.signal });
    const reader = got.body?.getReader();
    expect(Buffer.from((await reader?.read())?.value ?? []).toString()).toBe("0123");
    const next = reader?.read();
    leave.abort();
    await expect(next).rejects.toThrow("aborted");
  });

  test("corrupt flips one byte, and only on its copy", async () => {
    onBlobs({ type: "corrupt", atByte: 3 });
    const got = Buffer.from(await (await send("GET", blob)).arrayBuffer());
    expect([...got.entries()].filter(([i, byte]) => byte !== CONTENT.charCodeAt(i)).map(([i]) => i)).toEqual([3]);
    registry.faults.clear();
    expect(await (await send("GET", blob)).text()).toBe(CONTENT);
  });

  test.each<[FaultAction, Record<string, string | null>, number]>([
    [
      { type: "headers", drop: ["Docker-Content-Digest"], set: { "x-test": "1" } },
      { "docker-content-digest": null, "x-test": "1" },
      206,
    ],
    [{ type: "wrong-digest" }, { "docker-content-digest": `sha256:${"0".repeat(64)}` }, 206],
    [{ type: "chunked" }, { "content-length": null, "transfer-encoding": "chunked" }, 206],
    [{ type: "no-ranges" }, { "content-range": null, "content-length": "10" }, 200],
    [{ type: "slow", bytesPerSecond: 100_000 }, { "content-length": "5" }, 206],
    [{ type: "delay", ms: 1 }, { "content-length": "5" }, 206],
  ])("%j changes the head", async (action, headers, status) => {
    onBlobs(action);
    const got = await send("GET", blob, { range: "bytes=5-" });
    expect(got.status).toBe(status);
    for (const [name, value] of Object.entries(headers)) {
      expect(got.headers.get(name)).toBe(value);
    }
    expect(await got.text()).toBe(status === 200 ? CONTENT : "56789");
  });

  test("wrong-body answers 200 with something else", async () => {
    onBlobs({ type: "wrong-body", body: "<html>", contentType: "text/html" });
    const got = await send("GET", blob);
    expect([got.status, got.headers.get("content-type"), await got.text()]).toEqual([200, "text/html", "<html>"]);
  });

  test("late-error: it was done, and is said to have failed", async () => {
    const location = await openUpload(registry.url, "late");
    registry.faults.add({ match: { method: "PUT" }, action: { type: "late-error", status: 500 } });
    expect((await send("PUT", `${location}&digest=${DIGEST}`, {}, CONTENT)).status).toBe(500);
    expect(registry.storage.blobIn("late", DIGEST)?.sizeBytes).toBe(10);
  });

  test("reset-request: the bytes until then stay in the session", async () => {
    const location = await openUpload(registry.url, "cut");
    registry.faults.add({ match: { method: "PUT" }, action: { type: "reset-request", afterBytes: 4 } });
    await expect(send("PUT", `${location}&digest=${DIGEST}`, {}, CONTENT)).rejects.toThrow("fetch failed");
    await expect.poll(() => registry.openUploads()).toMatchObject([{ repository: "cut", offsetBytes: 4 }]);
  });

  test("lose-upload: the session is gone", async () => {
    const location = await openUpload(registry.url, "lost");
    registry.faults.add({ match: { method: "PUT" }, action: { type: "lose-upload" } });
    expect((await send("PUT", `${location}&digest=${DIGEST}`, {}, CONTENT)).status).toBe(404);
    expect(registry.openUploads()).toEqual([]);
  });

  test("faults of the second listener are its own", async () => {
    await using redirecting = await startRegistry({ redirect: true });
    redirecting.cdnFaults.add({ times: 1, action: { type: "status", status: 503 } });
    await pushBlob(redirecting.url, "a", CONTENT);
    const url = `${redirecting.url}/v2/a/blobs/${DIGEST}`;
    expect((await fetch(url)).status).toBe(503);
    expect(await (await fetch(url)).text()).toBe(CONTENT);
  });
});

describe("the record", () => {
  test("has every request with its bytes, and no credentials", async () => {
    await using registry = await startRegistry({ warning: 'soon "gone"' });
    const digest = await pushBlob(registry.url, "a/b", CONTENT);
    const got = await send("GET", `${registry.url}/v2/a/b/blobs/${digest}?x=1`, { authorization: "Bearer secret" });
    await got.text();
    expect(got.headers.get("warning")).toBe('299 - "soon \\"gone\\""');
    expect(registry.requests).toMatchObject([
      { method: "POST", path: "/v2/a/b/blobs/uploads/", status: 202 },
      { method: "PUT", status: 201, bytesIn: 10, query: { digest } },
      { method: "GET", status: 200, bytesOut: 10, query: { x: "1" }, headers: { authorization: "Bearer" } },
    ]);
    expect(JSON.stringify(registry.requests)).not.toContain("secret");
  });

  test("close frees the port with requests under way", async () => {
    const registry = await startRegistry({ rules: [{ action: { type: "hang" } }] });
    const closed = registry.recorder.when(() => true).then(() => registry.close());
    await expect(send("GET", registry.url)).rejects.toThrow("fetch failed");
    await closed;
    await expect(send("GET", registry.url)).rejects.toThrow("fetch failed");
  });
});

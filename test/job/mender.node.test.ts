/** What is done about a manifest that the target refuses since something is missing: in which order, how often, and what is sent. */
import { describe, expect, it } from "vitest";
import type { Descriptor } from "../../src/copy/graph.ts";
import { Mender, type MenderParts } from "../../src/job/mender.ts";
import { CopyError, type ErrorCode } from "../../src/registry/errors.ts";

const descriptor = (name: string): Descriptor => ({
  digest: `sha256:${name.repeat(64)}`,
  mediaType: "application/octet-stream",
  sizeBytes: 3,
});
const CHILD = descriptor("c");
const BLOBS = [descriptor("1"), descriptor("2")];
const MANIFEST = { digest: `sha256:${"f".repeat(64)}`, mediaType: "application/x", bytes: new Uint8Array(1) };

function refusal(code: ErrorCode): CopyError {
  return new CopyError({
    code,
    side: "target",
    host: "t",
    operation: "write manifest",
    retryable: true,
    message: "it said no",
  });
}

/**
 * A mender whose target lacks what is named, until it is sent; `done` is what was done, in order.
 * @param failed A blob that another manifest has had sent again in vain.
 */
function bench(lacks: readonly string[] = [], failed?: string) {
  const done: string[] = [];
  const missing = new Set(lacks);
  const isThere = (digest: string): boolean => !missing.has(digest);
  const parts: MenderParts = {
    request: { target: { host: "t", repository: "b" } },
    target: {
      host: "t",
      headBlob: async (_repository, digest) => (isThere(digest) ? 3 : null),
      headManifest: async (_repository, digest) =>
        isThere(digest) ? { digest, mediaType: "application/x", sizeBytes: 3 } : null,
      putManifest: async (_repository, digest) => {
        done.push(`put ${digest}`);
        return { subject: null };
      },
    },
    ledger: {
      blobs: {
        reopen: (digest) => {
          done.push(`reopen ${digest}`);
          return digest === failed ? refusal("not_found").detail : null;
        },
      },
    },
    events: { warn: (texts) => void done.push(...texts) },
    beginStep: () => {},
    now: () => 0,
    pause: async (ms) => void done.push(`wait ${ms}`),
    contentOf: () => ({ children: [CHILD], blobs: BLOBS }),
    manifest: async () => MANIFEST,
    offer: (blobs) => void done.push(...blobs.map(({ digest }) => `offer ${digest}`)),
  };
  return { mender: new Mender(parts), done };
}

/** Refuses so many times, then takes it. */
function refusing(times: number, code: ErrorCode = "content_missing") {
  let calls = 0;
  const push = async (): Promise<void> => {
    calls += 1;
    if (calls <= times) {
      throw refusal(code);
    }
  };
  return { push, calls: () => calls };
}

describe("a manifest that the target refuses since something is missing", () => {
  it("is pushed again after a while, and nothing else is done at first", async () => {
    const { mender, done } = bench([BLOBS[0]?.digest ?? ""]);
    await mender.push(MANIFEST, refusing(2).push);
    expect(done).toEqual(["wait 500", "wait 1000"]);
  });

  it("has what is missing brought once more, and waits for it", async () => {
    const [first, second] = BLOBS.map(({ digest }) => digest);
    const { mender, done } = bench([second ?? "", CHILD.digest]);
    const { push, calls } = refusing(3);
    const pushed = mender.push(MANIFEST, push);
    await expect.poll(() => done).toContain(`offer ${second}`);
    expect(calls()).toBe(3);
    mender.arrived(first ?? "");
    mender.arrived(second ?? "");
    await pushed;
    expect(done.slice(3)).toEqual([
      "t did not have a blob any more that had come to it, and was sent that again",
      `reopen ${second}`,
      `offer ${second}`,
      `put ${CHILD.digest}`,
    ]);
  });

  it("fails with the blob that cannot be brought", async () => {
    const [blob] = BLOBS.map(({ digest }) => digest);
    const { mender, done } = bench([blob ?? ""]);
    const pushed = mender.push(MANIFEST, refusing(9).push).catch((error: unknown) => error);
    await expect.poll(() => done).toContain(`offer ${blob}`);
    mender.failed(blob ?? "", refusal("unavailable"));
    expect(await pushed).toMatchObject({ detail: { code: "unavailable" } });
  });

  it("does not wait for a blob that has failed meanwhile: nobody is told of that again", async () => {
    const [blob = ""] = BLOBS.map(({ digest }) => digest);
    const { mender, done } = bench([blob], blob);
    const pushed = mender.push(MANIFEST, refusing(9).push).catch((error: unknown) => error);
    await expect.poll(() => done).toContain(`reopen ${blob}`);
    expect(await pushed).toMatchObject({ detail: { code: "not_found" } });
    expect(done).not.toContain(`offer ${blob}`);
  });

  it("ends with the run", async () => {
    const [blob] = BLOBS.map(({ digest }) => digest);
    const { mender, done } = bench([blob ?? ""]);
    const pushed = mender.push(MANIFEST, refusing(9).push).catch((error: unknown) => error);
    await expect.poll(() => done).toContain(`offer ${blob}`);
    mender.stop(refusal("cancelled"));
    expect(await pushed).toMatchObject({ detail: { code: "cancelled" } });
  });

  it("is given up in the end, in the target's words and how often it was tried", async () => {
    const { mender } = bench();
    const { push, calls } = refusing(99);
    await expect(mender.push(MANIFEST, push)).rejects.toMatchObject({
      detail: { code: "content_missing", message: expect.stringMatching(/^it said no; tried 5 times/) },
    });
    expect(calls()).toBe(5);
  });

  it("for any other reason is pushed once", async () => {
    const { mender, done } = bench();
    const { push, calls } = refusing(1, "manifest_invalid");
    await expect(mender.push(MANIFEST, push)).rejects.toMatchObject({ detail: { code: "manifest_invalid" } });
    expect([calls(), done]).toEqual([1, []]);
  });
});

import { gunzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { digestOf, everyKind, MEDIA_TYPES, referrerOf, singleImage, tarGz } from "./sample-image.ts";

describe("samples", () => {
  test("are the same at every run, and other ones under another seed", () => {
    expect(everyKind().map(({ digest }) => digest)).toEqual(everyKind().map(({ digest }) => digest));
    expect(singleImage({ seed: "a" }).digest).not.toBe(singleImage({ seed: "b" }).digest);
  });

  test.each(everyKind())("$tag: every descriptor says what the thing is, children come before parents", (sample) => {
    const known = new Map([...sample.blobs].map(([digest, bytes]) => [digest, bytes.length]));
    for (const { digest, bytes } of sample.manifests) {
      expect(digestOf(bytes)).toBe(digest);
      const text = bytes.toString();
      const descriptors = [...text.matchAll(/"digest": "(sha256:[^"]+)",\s+"size": (\d+)/g)];
      expect(descriptors.length).toBeGreaterThan(0);
      for (const [, named = "", size] of descriptors) {
        expect(known.get(named)).toBe(Number(size));
      }
      known.set(digest, bytes.length);
    }
    expect(sample.manifests.at(-1)?.digest).toBe(sample.digest);
  });

  test("layers are tar archives in gzip, with the size that was asked for", () => {
    const { bytes, diffId } = tarGz("key", 1000);
    const tar = gunzipSync(bytes);
    expect([tar.length % 512, digestOf(tar)]).toEqual([0, diffId]);
    expect(tar.toString("latin1", 257, 262)).toBe("ustar");
    expect(Number.parseInt(tar.toString("latin1", 124, 135), 8)).toBe(1000);
    const sum = tar.subarray(0, 512).reduce((total, byte, i) => total + (i >= 148 && i < 156 ? 0x20 : byte), 0);
    expect(Number.parseInt(tar.toString("latin1", 148, 154), 8)).toBe(sum);
  });

  test("a referrer names its subject", () => {
    const subject = singleImage();
    const referrer = referrerOf({ ...subject, sizeBytes: 500 });
    const text = referrer.manifests.at(-1)?.bytes.toString();
    expect(text).toContain(
      `"subject": {\n    "mediaType": "${MEDIA_TYPES.manifest}",\n    "digest": "${subject.digest}"`,
    );
  });
});

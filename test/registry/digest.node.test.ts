import { describe, expect, it } from "vitest";
import { algorithmOf, createHasher, digestOf, isDigest, parseDigest, verifyBytes } from "../../src/registry/digest.ts";

const EMPTY_JSON = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
const text = (value: string): Uint8Array => new TextEncoder().encode(value);

describe("digests", () => {
  it("are computed in pieces as in one", () => {
    const hasher = createHasher("sha256");
    hasher.update(text("{"));
    hasher.update(text(""));
    hasher.update(text("}"));
    expect(hasher.digest()).toBe(EMPTY_JSON);
    expect(digestOf(text("{}"))).toBe(EMPTY_JSON);
  });

  it("are verified where the algorithm is known, and passed where it is not", () => {
    expect(verifyBytes(text("{}"), EMPTY_JSON)).toBe("match");
    expect(verifyBytes(text("{ }"), EMPTY_JSON)).toBe("mismatch");
    expect(verifyBytes(text("{}"), digestOf(text("{}"), "sha512"))).toBe("match");
    expect(verifyBytes(text("{}"), `blake3:${"0".repeat(64)}`)).toBe("unknown");
  });

  it("are told from tags", () => {
    expect(isDigest(EMPTY_JSON)).toBe(true);
    expect(parseDigest("sha256+b64u:LCa0a2j_xo")).toEqual({ algorithm: "sha256+b64u", encoded: "LCa0a2j_xo" });
    for (const other of [
      "latest",
      "sha256",
      "sha256:",
      ":abc",
      "sha256:xyz",
      `sha256:${"a".repeat(63)}g`,
      `x:${"a".repeat(400)}`,
    ]) {
      expect(isDigest(other)).toBe(false);
    }
    expect(algorithmOf("latest")).toBe("");
  });
});

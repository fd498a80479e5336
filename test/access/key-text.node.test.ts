import { describe, expect, test } from "vitest";
import { KEY_RANDOM_BYTES, isKeyId, isKeyText, keyId, keyText } from "../../src/access/key-text.ts";

const key = keyText(Uint8Array.from({ length: KEY_RANDOM_BYTES }, (_, index) => index * 7));

test("a key is letters and digits behind its prefix, always as long", () => {
  for (const byte of [0, 1, 128, 255]) {
    expect(keyText(new Uint8Array(KEY_RANDOM_BYTES).fill(byte))).toMatch(/^dry_[0-9A-Za-z]{47}$/);
  }
});

test("other chance, another key; every byte of it counts", () => {
  const base = new Uint8Array(KEY_RANDOM_BYTES);
  const keys = new Set([keyText(base)]);
  for (const index of base.keys()) {
    keys.add(keyText(Uint8Array.from(base, (byte, place) => (place === index ? 1 : byte))));
  }
  expect(keys.size).toBe(KEY_RANDOM_BYTES + 1);
});

describe("the checksum", () => {
  test("is CRC-32 in base 62, as other tools compute it", () => {
    // By zlib's crc32 and a division by hand; a scanner for secrets may rely on it.
    const known = "dry_000D37zwY9QluoiRsV2MqABbmpQ2Fiv87dRFrKcA905VlMf";
    expect(keyText(Uint8Array.from({ length: KEY_RANDOM_BYTES }, (_, index) => index))).toBe(known);
    expect(isKeyText(known)).toBe(true);
  });

  test("finds every letter that was mistyped, and every two that were swapped", () => {
    for (let place = "dry_".length; place < key.length; place += 1) {
      const other = key[place] === "a" ? "b" : "a";
      expect(isKeyText(key.slice(0, place) + other + key.slice(place + 1))).toBe(false);
      const [one = "", two = ""] = key.slice(place, place + 2);
      if (one !== two && two !== "") {
        expect(isKeyText(key.slice(0, place) + two + one + key.slice(place + 2))).toBe(false);
      }
    }
  });
});

test.each(["", "dry_", key.slice(0, -1), `${key}0`, key.toLowerCase(), ` ${key}`, key.replace("dry_", "drayage_")])(
  "%j is no key",
  (text) => {
    expect(isKeyText(text)).toBe(false);
  },
);

test("ids are as long whatever chance says, and known again", () => {
  for (const byte of [0, 255]) {
    expect(isKeyId(keyId(new Uint8Array(10).fill(byte)))).toBe(true);
  }
  expect(isKeyId("key_")).toBe(false);
});

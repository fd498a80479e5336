import { expect, test } from "vitest";
import {
  ID_RANDOM_BYTES,
  copyIdIn,
  copyIdTimeMs,
  isCopyId,
  isGroupId,
  newCopyId,
  newGroupId,
} from "../../src/copy/copy-id.ts";

const zeros = new Uint8Array(ID_RANDOM_BYTES);
const ones = new Uint8Array(ID_RANDOM_BYTES).fill(0xff);

test.each([
  [0, zeros, "cp_00000000000000000000000000"],
  [1, zeros, `cp_${"0".repeat(9)}1${"0".repeat(16)}`],
  [2 ** 48 - 1, ones, "cp_7vvvvvvvvvvvvvvvvvvvvvvvvv"],
])("at %i", (nowMs, random, id) => {
  expect(newCopyId(nowMs, random)).toBe(id);
  expect(isCopyId(id)).toBe(true);
});

test("ids sort as their times do, whatever chance adds", () => {
  const times = [0, 9, 10, 31, 32, 1_764_000_000_000, 1_764_000_000_001, 9_999_999_999_999];
  const ids = times.flatMap((nowMs) => [newCopyId(nowMs, zeros), newCopyId(nowMs, ones)]);
  expect(ids.toSorted()).toEqual(ids);
});

test.each([
  "",
  "cp_",
  "cp_0",
  `cp_${"0".repeat(27)}`,
  `cp_${"w".repeat(26)}`,
  `CP_${"0".repeat(26)}`,
  `x${newCopyId(0, zeros)}`,
])("%j is none", (text) => {
  expect(isCopyId(text)).toBe(false);
});

test("the copies of a group have ids of its time that follow from its own, in their order", () => {
  for (const random of [zeros, ones]) {
    const group = newGroupId(1_764_000_000_000, random);
    expect([isGroupId(group), isCopyId(group)]).toEqual([true, false]);
    const copies = [0, 1, 15].map((place) => copyIdIn(group, place));
    expect(copies.every(isCopyId)).toBe(true);
    expect(copies.toSorted()).toEqual(copies);
    expect(copies[0]?.slice(3)).toBe(group.slice(3));
    expect(copyIdTimeMs(group)).toBe(1_764_000_000_000);
    expect(new Set(copies).size).toBe(3);
  }
});

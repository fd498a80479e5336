import { expect, it } from "vitest";
import {
  giveBuffer,
  LEAST_PIECE_BYTES,
  MOST_PIECE_BYTES,
  nextLeastBytes,
  PIECE_BYTES,
  takeBuffer,
} from "../../src/lane/pieces.ts";

it("takes no more memory than the blob needs, and never more than a piece", () => {
  expect(takeBuffer(1).byteLength).toBe(1);
  expect(takeBuffer(PIECE_BYTES - 1).byteLength).toBe(PIECE_BYTES - 1);
  expect(takeBuffer(10 * PIECE_BYTES).byteLength).toBe(PIECE_BYTES);
});

it("hands a buffer on to the next transfer", () => {
  const buffer = takeBuffer(PIECE_BYTES);
  giveBuffer(buffer);
  expect(takeBuffer(PIECE_BYTES)).toBe(buffer);
});

it("never hands on a buffer of a small blob", () => {
  giveBuffer(new ArrayBuffer(10));
  expect(takeBuffer(PIECE_BYTES).byteLength).toBe(PIECE_BYTES);
});

it("lets pieces grow on a fast line and shrink on a slow one, within bounds", () => {
  const after = (from: number, elapsedMs: number): number =>
    Array.from({ length: 10 }).reduce<number>((least) => nextLeastBytes(least, elapsedMs), from);
  expect(after(LEAST_PIECE_BYTES, 1)).toBe(MOST_PIECE_BYTES);
  expect(after(MOST_PIECE_BYTES, 1000)).toBe(LEAST_PIECE_BYTES);
  expect(after(LEAST_PIECE_BYTES * 2, 50)).toBe(LEAST_PIECE_BYTES * 2);
});

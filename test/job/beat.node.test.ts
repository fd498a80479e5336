import { expect, test, vi } from "vitest";
import { Beat } from "../../src/job/beat.ts";

/** A beat with so much else under way, on a clock of its own. */
function beating(underWay: number): Beat {
  vi.useFakeTimers({ now: 1_000_000 });
  const beat = new Beat(Date.now);
  for (let i = 0; i < underWay; i++) {
    void beat.bring(new Promise<void>(() => undefined));
  }
  return beat;
}

/** When so many that arrive one after the other go on, in milliseconds from now. */
async function times(beat: Beat, count: number): Promise<number[]> {
  const startMs = Date.now();
  const at = Array.from({ length: count }, async () => {
    await beat.bring(Promise.resolve());
    return Date.now() - startMs;
  });
  await vi.advanceTimersByTimeAsync(1_000);
  return Promise.all(at);
}

test("what comes close together goes on together, the first at once", async () => {
  const beat = beating(3);
  expect(await times(beat, 3)).toEqual([0, 10, 10]);
  expect(await times(beat, 2)).toEqual([0, 10]);
});

test("where little is under way nothing waits, nor once others have ended", async () => {
  expect(await times(beating(0), 3)).toEqual([0, 0, 0]);
  const beat = beating(2);
  expect(await times(beat, 2)).toEqual([0, 10]);
  expect(await times(beat, 1)).toEqual([0]);
});

test("what fails goes on as it failed, and is under way no more", async () => {
  const beat = beating(0);
  for (let i = 0; i < 10; i++) {
    await expect(beat.bring(Promise.reject(new Error("no")))).rejects.toThrow("no");
  }
  expect(await times(beat, 3)).toEqual([0, 0, 0]);
});

test("a clock that is set back makes nobody wait", async () => {
  const beat = beating(6);
  await beat.bring(Promise.resolve());
  vi.setSystemTime(1_000);
  expect(await times(beat, 1)).toEqual([0]);
});

/** What is said of a copy that nothing comes of, while it goes on. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Lulls } from "../../src/cli/commands/lull.ts";

const SOURCE = "source.example.com/app:v1";
const TARGET = "target.example.com/app:v1";

const LONG_MS = 60_000;

let said: string[];
let looked: string[];
let giveUp: AbortController;

beforeEach(() => {
  vi.useFakeTimers();
  [said, looked, giveUp] = [[], [], new AbortController()];
});
afterEach(() => vi.useRealTimers());

/** Only the target cannot be reached. */
function lulls(): Lulls {
  const lookAt = (host: string): Promise<string | null> => {
    looked.push(host);
    return Promise.resolve(host === "target.example.com" ? "Nothing listens there." : null);
  };
  return new Lulls(lookAt, (line) => said.push(line), giveUp.signal);
}

test("a registry that cannot be reached is told of, and one that can is not", async () => {
  using _watch = lulls().of(SOURCE, TARGET);
  await vi.advanceTimersByTimeAsync(LONG_MS);
  expect(looked).toEqual(["source.example.com", "target.example.com"]);
  expect(said).toEqual(["still trying to reach target.example.com. Nothing listens there."]);
});

test("nobody is looked at while something comes of the copy, nor after its end", async () => {
  {
    using watch = lulls().of(SOURCE, TARGET);
    for (let second = 0; second < 60; second += 1) {
      await vi.advanceTimersByTimeAsync(1_000);
      watch.heard();
    }
  }
  await vi.advanceTimersByTimeAsync(LONG_MS);
  expect(looked).toEqual([]);
});

test("each registry is looked at once, whichever copies wait for it, and that of both ends too", async () => {
  const all = lulls();
  using watch = all.of(TARGET, "target.example.com/other:v1");
  using _other = all.of(TARGET, TARGET);
  await vi.advanceTimersByTimeAsync(LONG_MS);
  watch.heard();
  await vi.advanceTimersByTimeAsync(LONG_MS);
  expect(looked).toEqual(["target.example.com"]);
});

test("what is found only after the end is not said", async () => {
  let find = (_found: string): void => undefined;
  const lookAt = (): Promise<string> => new Promise((resolve) => (find = resolve));
  const watch = new Lulls(lookAt, (line) => said.push(line), giveUp.signal).of(TARGET);
  await vi.advanceTimersByTimeAsync(LONG_MS);
  watch[Symbol.dispose]();
  find("Nothing listens there.");
  await vi.advanceTimersByTimeAsync(0);
  expect(said).toEqual([]);
});

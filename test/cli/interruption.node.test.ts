/** What signals do to a command, however far it has come. */
import { EventEmitter } from "node:events";
import { PassThrough } from "node:stream";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Interrupted, Interruption } from "../../src/cli/commands/interruption.ts";

let signals: EventEmitter;

beforeEach(() => {
  vi.useFakeTimers();
  signals = new EventEmitter();
});
afterEach(() => vi.useRealTimers());

function interruption(): Interruption {
  const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
  return new Interruption({ env: {}, stdin, stdout, stderr, signals });
}

/** A service that does not come up. */
const NEVER = new Promise<never>(() => undefined);

test("a start that takes long is given up at the second signal", async () => {
  using given = interruption();
  const ended = given.orGivenUp(NEVER).catch((error: unknown) => error);
  signals.emit("SIGINT");
  signals.emit("SIGTERM");
  const failure = await ended;
  expect(failure).toBeInstanceOf(Interrupted);
  expect(failure).toMatchObject({ signal: "SIGINT" });
});

test("and at the first one after a while", async () => {
  using given = interruption();
  const ended = given.orGivenUp(NEVER).catch((error: unknown) => error);
  signals.emit("SIGTERM");
  await vi.advanceTimersByTimeAsync(5_000);
  expect(await ended).toMatchObject({ signal: "SIGTERM" });
});

test("without a signal it is waited for", async () => {
  using given = interruption();
  expect(await given.orGivenUp(Promise.resolve("up"))).toBe("up");
});

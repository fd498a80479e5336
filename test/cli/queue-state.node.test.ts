import { describe, expect, test } from "vitest";
import {
  SendError,
  readBatch,
  readMessage,
  settle,
  type DeliveryAnswer,
  type Verdict,
} from "../../src/cli/broker/queue-state.ts";

const POLICY = { maxRetries: 5, retryDelayMs: 3_000 };
const NOW_MS = 1_000_000;

describe("what becomes of a message", () => {
  test.each<[string, DeliveryAnswer, number, Verdict]>([
    ["a good end", { outcome: "ok" }, 1, { kind: "done" }],
    ["ackAll", { outcome: "ok", ackAll: true, retryBatch: { retry: false } }, 6, { kind: "done" }],
    ["its own ack, whatever came after", { outcome: "exception", explicitAcks: ["m"] }, 1, { kind: "done" }],
    ["an ack of another", { outcome: "exception", explicitAcks: ["x"] }, 1, { kind: "retry", dueAtMs: NOW_MS + 3_000 }],
    [
      "its own retry with a delay",
      { outcome: "ok", retryMessages: [{ msgId: "m", delaySeconds: 7 }] },
      1,
      {
        kind: "retry",
        dueAtMs: NOW_MS + 7_000,
      },
    ],
    [
      "its own retry without one",
      { outcome: "ok", retryMessages: [{ msgId: "m" }] },
      1,
      {
        kind: "retry",
        dueAtMs: NOW_MS + 3_000,
      },
    ],
    [
      "a retry of all at once",
      { outcome: "ok", retryBatch: { retry: true, delaySeconds: 0 } },
      5,
      {
        kind: "retry",
        dueAtMs: NOW_MS,
      },
    ],
    [
      "a retry after the last attempt",
      { outcome: "ok", retryBatch: { retry: true } },
      6,
      {
        kind: "dead",
        reason: "the consumer asked for a retry",
      },
    ],
    [
      "an exception after the last attempt",
      { outcome: "exception" },
      6,
      {
        kind: "dead",
        reason: 'the consumer ended with "exception"',
      },
    ],
  ])("%s", (_name, answer, attempts, expected) => {
    expect(settle("m", attempts, answer, POLICY, NOW_MS)).toEqual(expected);
  });

  test("an exception waits at least a second, even where retries are at once", () => {
    const verdict = settle("m", 1, { outcome: "exception" }, { maxRetries: 5, retryDelayMs: 0 }, NOW_MS);
    expect(verdict).toEqual({ kind: "retry", dueAtMs: NOW_MS + 1_000 });
  });
});

describe("a send", () => {
  test("is read with its delay", () => {
    expect(readMessage("json", "30", '{"v":1}')).toEqual({ bodyJson: '{"v":1}', delayMs: 30_000 });
    expect(readMessage(null, null, "[]")).toEqual({ bodyJson: "[]", delayMs: 0 });
  });

  test("of a batch is read from base64, its own delay before the batch's", () => {
    const body = Buffer.from('"grün"').toString("base64");
    const text = JSON.stringify({
      messages: [
        { body, contentType: "json" },
        { body, delaySecs: 2 },
      ],
    });
    expect(readBatch("9", text)).toEqual([
      { bodyJson: '"grün"', delayMs: 9_000 },
      { bodyJson: '"grün"', delayMs: 2_000 },
    ]);
  });

  test.each([
    ["another format", () => readMessage("v8", null, "1"), /"v8"/],
    ["a delay beyond a day", () => readMessage("json", "86401", "1"), /86401/],
    ["a delay that is no number", () => readMessage("json", "soon", "1"), /soon/],
    ["something other than JSON", () => readMessage("json", null, "{"), /not JSON/],
    ["a batch without messages", () => readBatch(null, "{}"), /messages/],
    ["a message without body", () => readBatch(null, '{"messages":[{}]}'), /body/],
  ])("of %s is refused", (_name, read, words) => {
    expect(read).toThrow(SendError);
    expect(read).toThrow(words);
  });
});

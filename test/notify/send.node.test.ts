/** One message over real HTTP, to a receiver that checks it as the specification tells receivers to. */
import { describe, expect, onTestFinished, test } from "vitest";
import { urlRefusal } from "../../src/registry/reach.ts";
import { concerns, eventOf, hasEnded } from "../../src/notify/event.ts";
import { send, type SendPorts } from "../../src/notify/send.ts";
import { copy, KEY, type Receiver, receiverAt, startReceiver } from "./support.ts";

const NOW_MS = Date.UTC(2026, 10, 24, 8);
/** A receiver for one test. */
async function opened(...how: Parameters<typeof startReceiver>): Promise<Receiver> {
  const receiver = await startReceiver(...how);
  onTestFinished(() => receiver.close());
  return receiver;
}

const message = { event: "evt_1", body: '{"é":1}', attempts: 2 };

function ports(changes: Partial<SendPorts> = {}): SendPorts & { lines: object[] } {
  const lines: object[] = [];
  return {
    fetch: (url, init) => fetch(url, init),
    now: () => NOW_MS,
    refusalOf: () => null,
    log: (line) => lines.push(line),
    lines,
    ...changes,
  };
}

describe("a message", () => {
  test("arrives signed, whole, as a CloudEvent in its structured form", async () => {
    const receiver = await opened(() => NOW_MS);
    const attempt = await send(message, receiverAt(receiver.url), ports());
    expect(attempt).toMatchObject({ kind: "answered", status: 204 });
    expect(receiver.received).toEqual([
      {
        id: "evt_1",
        timestamp: NOW_MS / 1000,
        contentType: "application/cloudevents+json; charset=utf-8",
        body: message.body,
        genuine: true,
      },
    ]);
  });

  test("is signed with each key, so that the old and the new one are good", async () => {
    const other = Buffer.alloc(24, 9).toString("base64");
    const old = await opened(() => NOW_MS, KEY);
    const fresh = await opened(() => NOW_MS, other);
    for (const receiver of [old, fresh]) {
      await send(message, receiverAt(receiver.url, { keys: [other, KEY] }), ports());
      expect(receiver.received[0]?.genuine).toBe(true);
    }
  });

  test("under another key is not genuine to its receiver", async () => {
    const receiver = await opened(() => NOW_MS);
    await send(message, receiverAt(receiver.url, { keys: [Buffer.alloc(32, 8).toString("base64")] }), ports());
    expect(receiver.received[0]?.genuine).toBe(false);
  });

  test("has the same id and another time when it is sent again", async () => {
    const receiver = await opened(() => NOW_MS + 60_000);
    await send(message, receiverAt(receiver.url), ports());
    await send(message, receiverAt(receiver.url), ports({ now: () => NOW_MS + 60_000 }));
    expect(receiver.received.map(({ id, genuine }) => [id, genuine])).toEqual([
      ["evt_1", true],
      ["evt_1", true],
    ]);
    expect(receiver.received.map(({ timestamp }) => timestamp)).toEqual([NOW_MS / 1000, NOW_MS / 1000 + 60]);
  });

  test("brings back what the receiver answered, its wish for a pause included, and follows no redirect", async () => {
    const receiver = await opened(() => NOW_MS);
    receiver.replies.splice(0, 1, { status: 307, headers: { location: receiver.url, "retry-after": "7" } });
    expect(await send(message, receiverAt(receiver.url), ports())).toEqual({
      kind: "answered",
      status: 307,
      retryAfter: "7",
    });
    expect(receiver.received).toHaveLength(1);
  });

  test("under a key that is none is unanswered, in words that do not have it", async () => {
    const receiver = await opened(() => NOW_MS);
    const key = "A".repeat(33);
    const attempt = await send(message, receiverAt(receiver.url, { keys: [key] }), ports());
    expect(attempt).toMatchObject({ kind: "unanswered" });
    expect(JSON.stringify(attempt)).not.toContain("AAA");
    expect(receiver.received).toEqual([]);
  });

  test("to a receiver that is not there is unanswered, in words", async () => {
    const receiver = await startReceiver();
    await receiver.close();
    expect(await send(message, receiverAt(receiver.url), ports())).toMatchObject({ kind: "unanswered" });
  });

  test.each([
    "http://hooks.example.com/x",
    "https://127.0.0.1/x",
    "https://hooks.internal/x",
    "https://hooks.example.com:8443/x",
    "https://169.254.169.254/x",
    "https://localhost/x",
  ])("to %s is not even sent by a deployed service", async (url) => {
    const sent: string[] = [];
    const attempt = await send(
      message,
      receiverAt(url),
      ports({
        fetch: async (to) => {
          sent.push(to);
          return new Response();
        },
        refusalOf: (to) => urlRefusal(to, { local: false, named: [], plain: [] }),
      }),
    );
    expect(attempt).toMatchObject({ kind: "unanswered", reason: expect.stringMatching(/is not called/) });
    expect(sent).toEqual([]);
  });

  test("leaves a line in the log that has neither the path, which may be a secret, nor a key", async () => {
    const receiver = await opened(() => NOW_MS);
    const watched = ports();
    await send(message, receiverAt(`${receiver.url}/secret-path?token=secret`), watched);
    const text = JSON.stringify(watched.lines);
    expect(watched.lines).toMatchObject([{ msg: "notification", receiver: "ops", status: 204, attempt: 2 }]);
    expect(text).not.toMatch(/secret|hook/);
    expect(text).not.toContain(KEY);
  });
});

describe("the event", () => {
  const ended = (changes: Parameters<typeof copy>[0]) => {
    const made = copy(changes);
    return hasEnded(made) ? made : expect.unreachable();
  };

  test("has what CloudEvents 1.0 demands, and the copy as the API shows it", () => {
    const made = ended({ warnings: Array.from({ length: 30 }, (_, n) => `warning ${n}`) });
    const event = eventOf(made, NOW_MS);
    expect(event).toEqual({
      specversion: "1.0",
      id: `evt_${"0".repeat(26)}`,
      source: "urn:drayage:copies",
      type: "dev.drayage.copy.succeeded",
      subject: made.id,
      time: "2026-11-24T08:00:01.500Z",
      datacontenttype: "application/json",
      data: { ...made, warnings: made.warnings.slice(0, 10) },
    });
  });

  test.each(["accepted", "running"] as const)("is not made of a copy that is %s", (state) => {
    expect(hasEnded(copy({ state }))).toBe(false);
  });

  test.each<[string, Parameters<typeof receiverAt>[1], Parameters<typeof copy>[0], boolean]>([
    ["everything, without a filter", {}, {}, true],
    ["nothing of a dry run", {}, { dryRun: true }, false],
    ["an end that it wants", { events: ["failed"] }, { state: "failed" }, true],
    ["no end that it does not want", { events: ["failed"] }, { state: "succeeded" }, false],
    ["a source that fits", { sources: ["ghcr.io/acme/**"] }, {}, true],
    ["one of several sources", { sources: ["quay.io/**", "ghcr.io/acme/app"] }, {}, true],
    ["no other source", { sources: ["ghcr.io/acme/other"] }, {}, false],
    ["a target that fits, by its tag", { targets: ["registry.example.com/mirror/app:1"] }, {}, true],
    ["no other target", { targets: ["registry.example.com/other/**"] }, {}, false],
    ["only what fits both", { sources: ["ghcr.io/acme/**"], targets: ["quay.io/**"] }, {}, false],
    [
      "a repository's copy",
      { sources: ["ghcr.io/acme/**"] },
      { source: { reference: "ghcr.io/acme/app", digest: null } },
      true,
    ],
  ])("a receiver is told of %s", (_name, filter, changes, isTold) => {
    expect(concerns(receiverAt("https://r.example/", filter), ended(changes ?? {}))).toBe(isTold);
  });
});

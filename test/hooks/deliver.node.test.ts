/** The address, the size and the answer of a delivery, whoever its sender is. */
import { describe, expect, it } from "vitest";
import { MAX_DELIVERY_BYTES } from "../../src/hooks/body.ts";
import type { CheckedPushEvent } from "../../src/hooks/contract.ts";
import { deliver } from "../../src/hooks/deliver.ts";
import { hashOfPathPart, isPathPart, newPathPart } from "../../src/hooks/path-part.ts";
import { HookSettingsSchema } from "../../src/hooks/settings.ts";
import { KeySets } from "../../src/hooks/token.ts";
import * as payloads from "./payloads.ts";
import { distribution, registryEvent } from "./payloads.ts";
import { generic } from "../../src/hooks/senders/generic.ts";
import { NOW_MS, PATH_PART, requestOf, send } from "./support.ts";

const nobody = {
  start: () => Promise.reject(new Error("must not be called")),
  keySets: new KeySets(fetch),
  nowMs: NOW_MS,
};

describe("the part of the address that cannot be guessed", () => {
  it("is new each time, and its hash knows it again", async () => {
    const part = newPathPart();
    expect(part).toMatch(/^[\w-]{32}$/);
    expect(newPathPart()).not.toBe(part);
    expect(await isPathPart(part, await hashOfPathPart(part))).toBe(true);
  });

  it.each([["POST"], ["OPTIONS"], ["GET"]])(
    "answers a wrong one like a hook that does not exist: %s",
    async (method) => {
      const wrong = await send({}, { method, body: payloads.quay, pathPart: `${PATH_PART}x` });
      const missing = await deliver(null, PATH_PART, requestOf({ method, body: payloads.quay }), nobody);
      expect(wrong.status).toBe(404);
      expect(missing.status).toBe(404);
      expect(await missing.json()).toEqual(wrong.answer);
      expect(wrong.pushes).toBeNull();
    },
  );
});

describe("a request", () => {
  it("by another method is 405", async () => {
    const { status, headers } = await send({}, { method: "PUT", body: {} });
    expect(status).toBe(405);
    expect(headers.get("allow")).toBe("OPTIONS, POST");
  });

  it("with hundreds of events starts them all at once", async () => {
    const events = Array.from({ length: 700 }, (_, index) => registryEvent({ tag: `1.${index}` }));
    const { status, pushes, answer } = await send({}, distribution(...events));
    expect(status).toBe(202);
    expect(pushes).toHaveLength(700);
    expect(answer).toMatchObject({ counts: { started: 700 } });
    expect(answer).toHaveProperty("started.length", 100);
  });

  it.each([
    [5000, 202],
    [5001, 413],
  ])("with %i pushes is %i: each would be a row of the one index that everybody waits for", async (count, status) => {
    const tags = Array.from({ length: count }, (_, index) => `t${index}`);
    const sent = await send({}, { body: { ...payloads.quay, updated_tags: tags } });
    expect(sent.status).toBe(status);
    expect(sent.pushes?.length ?? 0).toBe(status === 202 ? count : 0);
  });

  it.each([
    ["generic", 5000, 202],
    ["generic", 5001, 413],
    ["cloudevents", 5000, 202],
    ["cloudevents", 5001, 413],
  ] as const)(
    "with a list of events for %s, %i long, is %i: none is left out in silence",
    async (sender, count, status) => {
      const envelope = sender === "generic" ? {} : { specversion: "1.0", type: "pushed" };
      const body = Array.from({ length: count }, (_, index) => {
        const data = { image: `a.io/b:${index}` };
        return sender === "generic" ? data : { ...envelope, data };
      });
      const sent = await send({ sender }, { body });
      expect(sent.status).toBe(status);
      expect(sent.pushes?.length ?? 0).toBe(status === 202 ? count : 0);
    },
  );

  it("is not looked through anew for each of the tags of an event", () => {
    let looks = 0;
    const body = {
      image: "a.io/b",
      tags: Array.from({ length: 1000 }, (_, index) => `t${index}`),
      get registry() {
        looks += 1;
        return "r.example";
      },
    };
    const delivery = { headers: new Headers(), query: new URLSearchParams(), signed: [new Uint8Array()] as const };
    const read = generic.parse(
      { ...delivery, body, receivedAtMs: NOW_MS },
      { name: "x", sender: "auto", pathHash: "" },
    );
    expect(read).toMatchObject({ kind: "push", events: { length: 1000 } });
    expect(looks).toBeLessThan(10);
  });

  it.each([
    ["of exactly the limit is read", 0, 202],
    ["of one byte more is 413", 1, 413],
  ])("%s", async (_what, extraBytes, status) => {
    const text = JSON.stringify(payloads.quay);
    const body = text + " ".repeat(MAX_DELIVERY_BYTES + extraBytes - text.length);
    expect((await send({}, { body })).status).toBe(status);
  });

  it("that says less than it sends is cut off all the same", async () => {
    let pulled = 0;
    const endless = new ReadableStream<Uint8Array>({
      pull(controller) {
        pulled += 1;
        controller.enqueue(new Uint8Array(64 * 1024));
      },
    });
    const request = new Request("https://drayage.example.com/", { method: "POST", body: endless, duplex: "half" });
    const hook = { name: "hook", sender: "auto", pathHash: await hashOfPathPart(PATH_PART) } as const;
    expect((await deliver(hook, PATH_PART, request, nobody)).status).toBe(413);
    expect(pulled).toBeLessThan(25);
  });
});

describe("a hostile delivery within the limit is answered soon", () => {
  const filled = (element: string) =>
    `[${Array.from({ length: 1_000_000 / (element.length + 1) }, () => element).join()}]`;
  it.each([
    ["empty objects", filled("{}")],
    ["an object of many keys", `{${Array.from({ length: 70_000 }, (_, index) => `"k${index}":0`).join()}}`],
    ["a long run of slashes", JSON.stringify({ image: `r.example.com/${"/".repeat(1_000_000)}a:1` })],
    ["a long host", JSON.stringify({ image: `${"a.".repeat(500_000)}/b:1` })],
    ["many colons", JSON.stringify({ docker_url: ":".repeat(500_000), updated_tags: [":".repeat(500_000)] })],
    [
      "a CloudEvent with a long source",
      JSON.stringify({ specversion: "1.0", type: "x", source: "a.".repeat(500_000) }),
    ],
    ["depth", "[".repeat(200_000)],
    ["closed depth", `${"[".repeat(5000)}${"]".repeat(5000)}`],
  ])("%s", async (_what, body) => {
    // A cost that grows with the square of the size takes minutes.
    const startedMs = performance.now();
    const { status, pushes } = await send({}, { body });
    expect(performance.now() - startedMs).toBeLessThan(15_000);
    expect([200, 400]).toContain(status);
    expect(pushes).toBeNull();
  });
});

describe("an answer", () => {
  const hookOf = async () => ({ name: "to-ghcr", sender: "quay", pathHash: await hashOfPathPart(PATH_PART) }) as const;
  const copy = { copy: "cp_1", source: "quay.io/team/app:1.4", target: "ghcr.io/team/app:1.4" };

  it.each([
    ["started", { started: [copy], joined: [], ignored: [] }, 202],
    ["joined", { started: [], joined: [copy], ignored: [] }, 200],
    ["ignored", { started: [], joined: [], ignored: [{ what: "team/app:1.4", reason: "no rule wants it" }] }, 200],
  ])("says what was %s", async (outcome, result, status) => {
    const answer = await deliver(await hookOf(), PATH_PART, requestOf({ body: payloads.quay }), {
      ...nobody,
      start: () => Promise.resolve(result),
    });
    expect(answer.status).toBe(status);
    expect(await answer.json()).toEqual({
      outcome,
      sender: "quay",
      hook: "to-ghcr",
      counts: { started: result.started.length, joined: result.joined.length, ignored: result.ignored.length },
      ...result,
    });
  });

  it("is not given while nobody has taken the pushes on", async () => {
    const start = (events: readonly CheckedPushEvent[]) => Promise.reject(new Error(`${events.length} not noted`));
    const delivered = deliver(await hookOf(), PATH_PART, requestOf({ body: payloads.quay }), { ...nobody, start });
    await expect(delivered).rejects.toThrow("2 not noted");
  });
});

describe("settings of a hook", () => {
  it("name a wrong sender, pointer, field and address", () => {
    const result = HookSettingsSchema.safeParse({
      sender: "dockerhubb",
      fields: { tag: "image.tag", digest: "/a~b", tags: "/x" },
      token: { issuers: ["i"], audience: "a", jwksUrl: "http://idp.example.com" },
    });
    const paths = result.error?.issues.map((issue) => issue.path.join(".") || issue.code).sort();
    expect(paths).toEqual(["fields", "fields.digest", "fields.tag", "sender", "token.jwksUrl"]);
  });

  it("are any sender's unless said otherwise", () => {
    expect(HookSettingsSchema.parse({})).toEqual({ sender: "auto" });
  });

  it("with a sender that there is not are told which there are", () => {
    expect(HookSettingsSchema.safeParse({ sender: "ghcrr" }).error?.issues).toMatchObject([
      { path: ["sender"], message: expect.stringMatching(/^must be one of .*ghcr.*auto$/) },
    ]);
  });
});

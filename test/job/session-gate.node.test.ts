import { expect, test } from "vitest";
import type { HeldSlot } from "../../src/host/contract.ts";
import { SessionGate, type JobSession } from "../../src/job/session-gate.ts";
import { CopyError } from "../../src/registry/errors.ts";

type Acquired = Parameters<JobSession["acquire"]>[0];

/** A host whose sessions break on command. */
class Host {
  readonly joined: string[] = [];
  readonly disposed: string[] = [];
  readonly asked: Acquired[] = [];
  readonly released: [lease: string, outcome: string][] = [];
  /** Errors of the next calls, in order; null: the call succeeds. */
  readonly script: (Error | null)[] = [];

  /** What each joining said is still held. */
  readonly held: string[][] = [];

  join = async (held: HeldSlot[]): Promise<JobSession> => {
    const name = `s${this.joined.length + 1}`;
    this.joined.push(name);
    this.held.push(held.map(({ lease }) => lease));
    return {
      acquire: async (request) => {
        this.asked.push(request);
        this.#fail();
        return `${name}/${request.id}`;
      },
      release: async (lease, outcome) => {
        this.released.push([lease, outcome.class]);
        this.#fail();
      },
      authorize: async () => {
        this.#fail();
        return { header: `Bearer ${name}`, expiresAtMs: 1 };
      },
      [Symbol.dispose]: () => void this.disposed.push(name),
    };
  };

  #fail(): void {
    const error = this.script.shift();
    if (error) {
      throw error;
    }
  }
}

function gateTo(host: Host): { gate: SessionGate; pauses: number[] } {
  const pauses: number[] = [];
  let ids = 0;
  const gate = new SessionGate({
    job: "j1",
    background: false,
    join: host.join,
    newId: () => `r${(ids += 1)}`,
    pause: async (ms) => void pauses.push(ms),
  });
  return { gate, pauses };
}

/** Lets everything through that was sent without waiting for its answer. */
function sent(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function refusal(): CopyError {
  return new CopyError({
    code: "rate_limited",
    side: "target",
    host: "dst.example",
    operation: "wait",
    retryable: true,
    message: "The host is paused for an hour.",
  });
}

test("one session serves all requests, and a slot is given back once", async () => {
  const host = new Host();
  const { gate } = gateTo(host);
  gate.open();
  const slot = await gate.acquire("head", 0);
  await gate.acquire("manifest", 400);
  slot.release({ class: "ok" });
  slot.release({ class: "failed" });
  await sent();
  expect(host.joined).toEqual(["s1"]);
  expect(host.asked.map(({ kind, bytes, job }) => [kind, bytes, job])).toEqual([
    ["head", 0, "j1"],
    ["manifest", 400, "j1"],
  ]);
  expect(host.released).toEqual([["s1/r1", "ok"]]);
});

test("a broken session is left and joined anew, and the request keeps its id", async () => {
  const host = new Host();
  host.script.push(new Error("reset"), new Error("reset again"));
  const { gate, pauses } = gateTo(host);
  const slot = await gate.acquire("query", 0);
  slot.release({ class: "ok" });
  await sent();
  expect(host.joined).toEqual(["s1", "s2", "s3"]);
  expect(host.disposed).toEqual(["s1", "s2"]);
  expect(host.asked.map(({ id }) => id)).toEqual(["r1", "r1", "r1"]);
  expect(host.released).toEqual([["s3/r1", "ok"]]);
  expect(pauses).toHaveLength(2);
});

test("a host that stays broken is given up with its own error", async () => {
  const host = new Host();
  host.script.push(...Array.from({ length: 10 }, () => new Error("still broken")));
  await expect(gateTo(host).gate.acquire("head", 0)).rejects.toThrow("still broken");
  expect(host.joined.length).toBeLessThan(10);
});

test("a refusal of the host is an answer, not a broken session", async () => {
  const host = new Host();
  host.script.push(refusal());
  const { gate } = gateTo(host);
  await expect(gate.acquire("head", 0)).rejects.toThrow("paused for an hour");
  await gate.acquire("head", 0);
  expect(host.joined).toEqual(["s1"]);
});

test("a slot whose session broke is given back through the next one, which is told what else is still held", async () => {
  const host = new Host();
  const { gate } = gateTo(host);
  const slot = await gate.acquire("head", 0);
  await gate.acquire("manifest", 0);
  host.script.push(new Error("session broke"));
  slot.release({ class: "ok" });
  await sent();
  expect(host.released).toEqual([
    ["s1/r1", "ok"],
    ["s1/r1", "ok"],
  ]);
  expect(host.held).toEqual([[], ["s1/r2"]]);
});

test("a slot that cannot be given back harms nobody", async () => {
  const host = new Host();
  const { gate } = gateTo(host);
  const slot = await gate.acquire("head", 0);
  host.script.push(...Array.from({ length: 10 }, () => new Error("still broken")));
  slot.release({ class: "ok" });
  await sent();
  host.script.length = 0;
  await gate.acquire("head", 0);
  expect(host.asked).toHaveLength(2);
});

test("what nobody waits for says so with every request", async () => {
  const host = new Host();
  const gate = new SessionGate({
    job: "j1",
    background: true,
    join: host.join,
    newId: () => "r1",
    pause: async () => undefined,
  });
  await gate.acquire("head", 0);
  expect(host.asked[0]?.background).toBe(true);
});

test("tokens come through the session", async () => {
  const { gate } = gateTo(new Host());
  expect(await gate.authorize({ scopes: ["repository:app:pull"] })).toEqual({ header: "Bearer s1", expiresAtMs: 1 });
});

test("closing leaves the host, and nothing is asked after that", async () => {
  const host = new Host();
  const { gate } = gateTo(host);
  await gate.acquire("head", 0);
  gate.close();
  await expect(gate.acquire("head", 0)).rejects.toThrow("left");
  expect(host.disposed).toEqual(["s1"]);
});

test("a job never asks for a blob's slot", async () => {
  const host = new Host();
  await expect(gateTo(host).gate.acquire("blob", 1)).rejects.toThrow("lanes");
  expect(host.asked).toEqual([]);
});

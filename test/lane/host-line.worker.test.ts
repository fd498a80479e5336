import { abortAllDurableObjects } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, it } from "vitest";
import type { HeldSlot, HostSession, Joiner } from "../../src/host/contract.ts";
import { HostLine } from "../../src/lane/host-line.ts";

const HELD: HeldSlot = { lease: "lease", kind: "head", bytes: 0 };

const HOST = "registry.example";

it("goes on over a new session when the host's object was reset", async () => {
  const joiners: Joiner[] = [];
  using line = new HostLine(joinNoting(joiners), () => ({ name: "lane", width: 5, held: [HELD] }));
  expect(await line.renew([])).toEqual({ lost: [], withdrawn: [] });
  const waiting = line.next();
  await abortAllDurableObjects();
  expect(await line.renew([{ lease: "lease", bytes: 1 }])).toEqual({ lost: ["lease"], withdrawn: [] });
  expect(joiners).toHaveLength(2);
  expect(joiners[1]?.held).toEqual([HELD]);
  // The host lets a lane wait a moment for work, then sends it home: over the new session, too.
  expect(await waiting).toBeNull();
});

it("passes on what the host means to tell, in the same session", async () => {
  const joiners: Joiner[] = [];
  using line = new HostLine(joinNoting(joiners), () => ({ name: "lane", width: 0, held: [] }));
  const challenge = 'Bearer realm="http://169.254.169.254/token"';
  await expect(line.authorize({ scopes: ["repository:a:pull"], challenge })).rejects.toMatchObject({
    detail: { code: "denied" },
  });
  expect(joiners).toHaveLength(1);
});

it("leaves the host when it is hung up", async () => {
  const line = new HostLine(joinNoting([]), () => ({ name: "lane", width: 5, held: [] }));
  const waiting = line.next();
  await expect.poll(lanesJoined).toBe(1);
  line[Symbol.dispose]();
  expect(await waiting).toBeNull();
  // The runtime disposes of a session when its last pending call has ended, or the whole invocation.
  await expect.poll(lanesJoined).toBe(0);
  await expect(line.renew([])).rejects.toThrow("the lane has ended");
});

function joinNoting(joiners: Joiner[]): (who: Joiner) => Promise<HostSession> {
  return (who) => {
    joiners.push(who);
    return env.REGISTRIES.getByName(HOST).join(who);
  };
}

async function lanesJoined(): Promise<number> {
  const { lanes } = await env.REGISTRIES.getByName(HOST).snapshot();
  return lanes.joined;
}

/** One copy of a chaos run: what it is to do, asking for it, waiting for its end, and whether that end is right. */
import * as z from "zod";
import { ENDED_STATES } from "../../src/job/contract.ts";
import { integer, type Random } from "../sim/random.ts";
import { compareStores } from "../support/compare.ts";
import type { Sample } from "../support/sample-image.ts";
import { drawDamage, drawFault } from "./faults.ts";
import type { RegistryName, Registries } from "./registries.ts";
import { drawImage, drawUnsharedImage } from "./images.ts";
import { sleep, type ChaosService, type Question } from "./service.ts";

/**
 * `succeed`: whatever happens. `missing`, `denied`, `rotten`: has to fail, with that reason. `cancel`: is cancelled under
 * way, unless it is done before.
 */
export type Fate = "succeed" | "missing" | "denied" | "rotten" | "cancel";

export interface ChaosCopy {
  index: number;
  fate: Fate;
  from: { name: RegistryName; repository: string };
  to: { name: RegistryName; repository: string };
  sample: Sample;
  cancelAfterMs: number;
}

export interface Ended {
  planned: ChaosCopy;
  /** As the service calls it; `stuck`: it did not end within its bound. */
  state: string;
  id: string;
  tookMs: number;
  /** What is wrong, one line each; empty: all is as it has to be. */
  problems: string[];
}

/** From asking to the end, kills and pauses included. */
export const COPY_BOUND_MS = 180_000;

/** Of copies: how many bring a fault to each registry, and one to the bytes of their own source. */
const FAULT_SHARE = 0.36;
const DAMAGE_SHARE = 0.2;

const WAIT_SECONDS = 5;
const FAILURES: Readonly<Record<Exclude<Fate, "succeed" | "cancel">, { code: RegExp; side: string }>> = {
  missing: { code: /^not_found$/, side: "source" },
  denied: { code: /^denied$/, side: "target" },
  rotten: { code: /^digest_mismatch$/, side: "source" },
};
const ROUTES: readonly [RegistryName, RegistryName][] = [
  ["north", "south"],
  ["south", "north"],
  ["north", "debian"],
  ["debian", "south"],
  ["south", "south"],
];
/** Few, so that copies meet in them and put the same blob there at once. */
const TARGET_REPOSITORIES = 12;

const Copy = z.looseObject({
  id: z.string(),
  state: z.string(),
  warnings: z.array(z.string()),
  error: z.looseObject({ code: z.string(), side: z.string(), message: z.string() }).nullable(),
});
type Copy = z.infer<typeof Copy>;

/** What copy number `index` is to do. Failing and cancelled ones go between the registries that can be told to break. */
export function drawCopy(random: Random, seed: number, index: number): ChaosCopy {
  const tag = `t${index}`;
  const draw = random();
  const fate =
    draw < 0.02 ? "missing" : draw < 0.04 ? "denied" : draw < 0.06 ? "rotten" : draw < 0.1 ? "cancel" : "succeed";
  const routes = fate === "succeed" || fate === "cancel" ? ROUTES : ROUTES.slice(0, 2);
  const [from, to] = routes[integer(random, 0, routes.length - 1)] ?? ["north", "south"];
  const image = drawImage(random, seed, tag);
  return {
    index,
    fate,
    from: { name: from, repository: fate === "rotten" ? `rotten/${tag}` : `fleet/app${index % 7}` },
    to: {
      name: to,
      repository: fate === "denied" ? `locked/${tag}` : `mirror/app${integer(random, 0, TARGET_REPOSITORIES - 1)}`,
    },
    sample: fate === "rotten" || fate === "denied" ? drawUnsharedImage(seed, tag) : image,
    cancelAfterMs: integer(random, 0, 800),
  };
}

/** Sees to it that the copy's end is as it is to be, and draws a fault or two for whoever meets them first. */
export async function prepare(registries: Registries, planned: ChaosCopy, random: Random): Promise<void> {
  const { fate, from, to, sample } = planned;
  if (fate !== "missing") {
    await registries.put(from.name, from.repository, sample);
  }
  if (fate === "rotten" && from.name !== "debian") {
    registries.rot(from.name, sample);
  }
  if (fate === "denied" && to.name !== "debian") {
    const match = { method: ["POST", "PUT", "PATCH"], path: new RegExp(`/${to.repository}/`) };
    registries[to.name].faults.add({ match, action: { type: "status", status: 403, code: "DENIED" } });
  }
  for (const registry of registries.own) {
    if (random() < FAULT_SHARE) {
      registry.faults.add(drawFault(random));
    }
  }
  if (random() < DAMAGE_SHARE && from.name !== "debian") {
    const digests = { manifests: sample.manifests.map(({ digest }) => digest), blobs: [...sample.blobs.keys()] };
    const damage = drawDamage(random, digests, registries.damagedOnce[from.name]);
    registries[from.name].faults.add(...(damage === null ? [] : [damage]));
  }
}

/** Asks for the copy and stays with it to its end; `onAccepted` hears its id. */
export async function carryOut(
  service: ChaosService,
  registries: Registries,
  seed: number,
  planned: ChaosCopy,
  onAccepted: (id: string) => void,
): Promise<Ended> {
  const { index, fate, from, to, sample } = planned;
  const body = JSON.stringify({
    source: `${registries.host(from.name)}/${from.repository}:${sample.tag}`,
    target: `${registries.host(to.name)}/${to.repository}:${sample.tag}`,
  });
  const beganMs = performance.now();
  const headers = { "idempotency-key": `chaos-${seed}-${index}` };
  let copy = await asked(service, "/v1/copies", { method: "POST", body, headers });
  const id = copy?.id ?? "";
  onAccepted(id);
  if (fate === "cancel" && copy !== null) {
    await sleep(planned.cancelAfterMs);
    await service.ask(`/v1/copies/${id}`, { method: "DELETE" });
  }
  while (copy !== null && !isEnded(copy) && performance.now() - beganMs < COPY_BOUND_MS) {
    copy = await asked(service, `/v1/copies/${id}?wait=${WAIT_SECONDS}`, {});
  }
  const tookMs = performance.now() - beganMs;
  if (copy === null || !isEnded(copy)) {
    const problem = `has not ended within ${COPY_BOUND_MS / 1000} s: ${copy?.state ?? `no answer; ${service.lastRefusal}`}`;
    return { planned, state: "stuck", id, tookMs, problems: [problem] };
  }
  return { planned, state: copy.state, id, tookMs, problems: await judge(registries, planned, copy) };
}

async function asked(service: ChaosService, path: string, init: Question): Promise<Copy | null> {
  const answer = await service.ask(path, init);
  return answer === null ? null : Copy.parse(answer);
}

function isEnded({ state }: Copy): boolean {
  return ENDED_STATES.some((ended) => ended === state);
}

async function judge(registries: Registries, planned: ChaosCopy, copy: Copy): Promise<string[]> {
  const { fate, from, to, sample } = planned;
  const target = registries.store(to.name, to.repository);
  if (copy.state === "succeeded" && (fate === "succeed" || fate === "cancel")) {
    return (await compareStores(registries.store(from.name, from.repository), target, [sample.tag])).problems;
  }
  const problems: string[] = [];
  if (fate === "succeed") {
    problems.push(`${copy.state} instead of succeeded: ${copy.error?.message ?? "no error"}`);
  } else if (fate === "cancel") {
    if (copy.state !== "cancelled") {
      problems.push(`${copy.state} instead of cancelled: ${copy.error?.message ?? "no error"}`);
    }
  } else {
    const { code, side } = FAILURES[fate];
    if (copy.state !== "failed" || copy.error?.side !== side || !code.test(copy.error.code)) {
      const words = copy.error === null ? "no error" : `${copy.error.side}, ${copy.error.code}, ${copy.error.message}`;
      problems.push(`${copy.state} (${words}) instead of failed at the ${side} with ${String(code)}`);
    }
  }
  // A manifest that was on its way when the copy was cancelled may have arrived; the copy says so then.
  const mayBeThere = copy.warnings.some((text) => text.includes("had not answered"));
  if ((await target.tag(sample.tag)) !== null && !mayBeThere) {
    problems.push(`${copy.state}, yet the target has its tag`);
  }
  return problems;
}

/** Opens what one run needs of the outside: a session at both registry hosts, and a client for each end. */
import { writeLine } from "../log.ts";
import { clientReach, hostSettings } from "../config.ts";
import type { Env } from "../env.ts";
import type { CopyRequest } from "../copy/request.ts";
import { createRegistry } from "../registry/client.ts";
import { createMirrored, impatient, MIRROR_TRIES } from "../registry/mirrored.ts";
import { type Place, placesToRead } from "../registry/places.ts";
import { ConnectionBudget } from "../registry/connection-budget.ts";
import type { Registry } from "../registry/contract.ts";
import type { Fetch } from "../registry/wire.ts";
import { SessionGate } from "./session-gate.ts";

export interface OpenRegistries {
  source: Registry;
  target: Registry;
  /** Leaves both hosts. */
  close: () => void;
}

export interface RegistriesOptions {
  env: Env;
  job: string;
  request: CopyRequest;
  /** Ends everything that is under way. */
  signal: AbortSignal;
  /** Called synchronously before every request; throws when nothing may be sent any more. */
  beforeRequest: () => void;
}

/**
 * Where a copy reads from, in this order.
 * @throws CopyError `configuration` when the host settings are wrong.
 */
export function placesOf(env: Env, { source, target }: CopyRequest): readonly Place[] {
  return placesToRead(source, hostSettings(env, source.host).mirrors, target);
}

/** @throws CopyError `configuration` when the host settings are wrong. */
export function openRegistries(options: RegistriesOptions): OpenRegistries {
  const { env, job, request, signal, beforeRequest } = options;
  const gates = new Map<string, SessionGate>();
  const guardedFetch: Fetch = (url, init) => {
    beforeRequest();
    return fetch(url, init);
  };
  const budget = new ConnectionBudget();
  const gateOf = (host: string): SessionGate => {
    const gate = gates.get(host) ?? newGate(env, job, host, request.background === true);
    gates.set(host, gate);
    return gate;
  };
  const open = (host: string, side: "source" | "target", mirror?: "mirror"): Registry =>
    createRegistry({
      settings: hostSettings(env, host),
      side,
      gate: mirror === undefined ? gateOf(host) : impatient(gateOf(host), host),
      fetch: guardedFetch,
      now: Date.now,
      log: writeLine,
      budget,
      signal,
      refusalOf: clientReach(env, host),
      ...(mirror === undefined ? {} : { maxAttempts: MIRROR_TRIES }),
    });
  const read = placesOf(env, request);
  const { target } = request;
  // So that the first request to either need not wait for the joining. What comes after the first mirror may not be needed.
  gateOf(target.host).open();
  gateOf((read[0] ?? request.source).host).open();
  const mirrors = read
    .slice(0, -1)
    .map(({ host, repository }) => ({ registry: open(host, "source", "mirror"), repository }));
  const source = open(request.source.host, "source");
  return {
    source:
      mirrors.length === 0
        ? source
        : createMirrored({
            mirrors,
            source: { registry: source, repository: request.source.repository },
            now: Date.now,
            listsAtSource: request.prune !== undefined,
          }),
    target: open(target.host, "target"),
    close: () => {
      for (const gate of gates.values()) {
        gate.close();
      }
    },
  };
}

function newGate(env: Env, job: string, host: string, background: boolean): SessionGate {
  return new SessionGate({
    job,
    background,
    join: (held) => env.REGISTRIES.getByName(host).join({ name: job, width: 0, held }),
    newId: () => crypto.randomUUID(),
    pause: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
  });
}

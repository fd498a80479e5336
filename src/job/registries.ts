/** Opens what one run needs of the outside: a session at both registry hosts, and a client for each end. */
import { writeLine } from "../log.ts";
import { clientReach, hostSettings } from "../config.ts";
import type { Env } from "../env.ts";
import type { CopyRequest } from "../copy/request.ts";
import { createRegistry } from "../registry/client.ts";
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

/** @throws CopyError `configuration` when the host settings are wrong. */
export function openRegistries(options: RegistriesOptions): OpenRegistries {
  const { env, job, request, signal, beforeRequest } = options;
  const gates = new Map<string, SessionGate>();
  const guardedFetch: Fetch = (url, init) => {
    beforeRequest();
    return fetch(url, init);
  };
  const budget = new ConnectionBudget();
  const open = (host: string, side: "source" | "target"): Registry => {
    const gate = gates.get(host) ?? newGate(env, job, host, request.background === true);
    gates.set(host, gate);
    return createRegistry({
      settings: hostSettings(env, host),
      side,
      gate,
      fetch: guardedFetch,
      now: Date.now,
      log: writeLine,
      budget,
      signal,
      refusalOf: clientReach(env, host),
    });
  };
  return {
    source: open(request.source.host, "source"),
    target: open(request.target.host, "target"),
    close: () => {
      for (const gate of gates.values()) {
        gate.close();
      }
    },
  };
}

function newGate(env: Env, job: string, host: string, background: boolean): SessionGate {
  const gate = new SessionGate({
    job,
    background,
    join: (held) => env.REGISTRIES.getByName(host).join({ name: job, width: 0, held }),
    newId: () => crypto.randomUUID(),
    pause: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
  });
  gate.open();
  return gate;
}

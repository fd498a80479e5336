/** Opens what one run needs of the outside: a session at both registry hosts, and a client for each end. */
import { writeLine } from "../log.ts";
import { clientReach, hostSettings } from "../config.ts";
import type { Env } from "../env.ts";
import type { CopyRequest } from "../copy/request.ts";
import type { HeldSlot } from "../host/contract.ts";
import { createRegistry } from "../registry/client.ts";
import { createMirrored, impatient, MIRROR_TRIES } from "../registry/mirrored.ts";
import { type Place, placesToRead } from "../registry/places.ts";
import { ConnectionBudget } from "../registry/connection-budget.ts";
import type { Registry } from "../registry/contract.ts";
import type { Fetch } from "../registry/wire.ts";
import { Beat } from "./beat.ts";
import { createShared } from "./group/shared-source.ts";
import { SessionGate } from "./session-gate.ts";

export interface OpenRegistries {
  source: Registry;
  target: Registry;
  /** Slots that it has at a registry host. */
  slotsAt: (host: string) => HeldSlot[];
  /** Leaves both hosts. */
  close: () => void;
}

export type OpenSource = Pick<OpenRegistries, "source" | "close">;

export interface RegistriesOptions {
  env: Env;
  /** Who asks: the copy, or the group. */
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
  const { env, request } = options;
  const clients = new Clients(options);
  const places = placesOf(env, request);
  const { group } = request;
  const own = readThrough(clients, options, places);
  const target = clients.open(request.target.host, "target");
  // So that the first request to either need not wait for the joining. After the clients: where settings are wrong nothing is
  // to be left.
  clients.join(request.target.host);
  if (group === undefined) {
    clients.join((places[0] ?? request.source).host);
  }
  const source =
    group === undefined
      ? own
      : createShared(own, places, {
          head: async (reference) => env.GROUPS.getByName(group).head(reference),
          manifest: async (reference) => env.GROUPS.getByName(group).manifest(reference),
        });
  return { source, target, slotsAt: (host) => clients.slotsAt(host), close: () => clients.close() };
}

/**
 * The source alone.
 * @param places Where it is read from, in this order; the last one is the source.
 * @throws CopyError `configuration` when the host settings are wrong.
 */
export function openSource(options: RegistriesOptions, places: readonly Place[]): OpenSource {
  const clients = new Clients(options);
  return { source: readThrough(clients, options, places), close: () => clients.close() };
}

/** The source read through its mirrors, if it has any. */
function readThrough(clients: Clients, { request }: RegistriesOptions, places: readonly Place[]): Registry {
  const mirrors = places
    .slice(0, -1)
    .map(({ host, repository }) => ({ registry: clients.open(host, "source", "mirror"), repository }));
  const source = clients.open(request.source.host, "source");
  return mirrors.length === 0
    ? source
    : createMirrored({
        mirrors,
        source: { registry: source, repository: request.source.repository },
        now: Date.now,
        listsAtSource: request.prune !== undefined,
      });
}

/** The clients of one run: they share their connections, and each host's gate. */
class Clients {
  readonly #options: RegistriesOptions;
  readonly #gates = new Map<string, SessionGate>();
  readonly #budget = new ConnectionBudget();
  readonly #beat = new Beat(Date.now);

  constructor(options: RegistriesOptions) {
    this.#options = options;
  }

  join(host: string): void {
    this.#gateOf(host).open();
  }

  open(host: string, side: "source" | "target", mirror?: "mirror"): Registry {
    const { env, signal, beforeRequest } = this.#options;
    const guardedFetch: Fetch = (url, init) => {
      beforeRequest();
      return fetch(url, init);
    };
    const registry = createRegistry({
      settings: hostSettings(env, host),
      side,
      gate: mirror === undefined ? this.#gateOf(host) : impatient(this.#gateOf(host), host),
      fetch: guardedFetch,
      now: Date.now,
      log: writeLine,
      budget: this.#budget,
      signal,
      refusalOf: clientReach(env, host),
      ...(mirror === undefined ? {} : { maxAttempts: MIRROR_TRIES }),
    });
    const beat = this.#beat;
    return {
      ...registry,
      headManifest: (...of) => beat.bring(registry.headManifest(...of)),
      getManifest: (...of) => beat.bring(registry.getManifest(...of)),
      putManifest: (...of) => beat.bring(registry.putManifest(...of)),
    };
  }

  slotsAt(host: string): HeldSlot[] {
    return this.#gates.get(host)?.held ?? [];
  }

  close(): void {
    for (const gate of this.#gates.values()) {
      gate.close();
    }
  }

  #gateOf(host: string): SessionGate {
    const known = this.#gates.get(host);
    if (known !== undefined) {
      return known;
    }
    const { env, job, request } = this.#options;
    const gate = new SessionGate({
      job,
      background: request.background === true,
      join: (held) => env.REGISTRIES.getByName(host).join({ name: job, width: 0, held }),
      newId: () => crypto.randomUUID(),
      pause: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
    });
    this.#gates.set(host, gate);
    return gate;
  }
}

/**
 * Says why nothing comes of a copy. A registry that is not reached is tried again for as long as half a minute, and a host
 * that is both source and target for longer; of that the service tells only at its end. So when a copy has been silent for
 * a while, its registries are looked at from here. It changes nothing of the copy.
 */
import { parseName } from "../../registry/reference.ts";
import type { LookAt } from "../unreached/explain.ts";

/** Longer than a registry that refuses connections takes to be given up by a copy that has its attempts for itself. */
const LULL_MS = 4_000;

export interface Watch extends Disposable {
  /** Something has come of the copy. */
  heard(): void;
}

export class Lulls {
  readonly #lookAt: LookAt;
  readonly #say: (line: string) => void;
  readonly #giveUp: AbortSignal;
  /** Hosts that were looked at: a hundred copies that wait for one are silent together. */
  readonly #known = new Set<string>();

  /** @param say Takes a line for the user. */
  constructor(lookAt: LookAt, say: (line: string) => void, giveUp: AbortSignal) {
    this.#lookAt = lookAt;
    this.#say = say;
    this.#giveUp = giveUp;
  }

  /** Watches a copy until it is disposed of. */
  of(...references: string[]): Watch {
    const ended = new AbortController();
    const signal = AbortSignal.any([ended.signal, this.#giveUp]);
    const timer = setTimeout(() => void this.#look(references, signal), LULL_MS);
    timer.unref();
    return {
      heard: () => void timer.refresh(),
      [Symbol.dispose]: () => {
        clearTimeout(timer);
        ended.abort();
      },
    };
  }

  async #look(references: readonly string[], signal: AbortSignal): Promise<void> {
    const hosts = references.map(hostOf).filter((host) => host !== null);
    const unknown = [...new Set(hosts)].filter((host) => !this.#known.has(host));
    await Promise.all(
      unknown.map(async (host) => {
        this.#known.add(host);
        const found = await this.#lookAt(host, signal);
        if (found !== null && !signal.aborted) {
          this.#say(`still trying to reach ${host}. ${found}`);
        }
      }),
    );
  }
}

function hostOf(reference: string): string | null {
  try {
    return parseName(reference).host;
  } catch {
    return null;
  }
}

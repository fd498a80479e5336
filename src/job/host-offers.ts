/**
 * A copy's calls to its target's host about its blobs: made again while the host's object restarts, and waited for before the
 * copy's end is told there. Which blobs are offered, and when, is the run's business (offers.ts).
 */
import type { Env } from "../env.ts";
import type { BlobOffer, RegistryHostRpc } from "../host/contract.ts";
import { sleep } from "./waiting.ts";

/** A host's object that restarts is back within a second; repeating a call changes nothing. */
const TRIES = 4;
const FIRST_PAUSE_MS = 100;

/** Whose blobs they are, and where they are to go. */
export interface OffersOf {
  job: string;
  host: string;
}

export class HostOffers {
  readonly #env: Pick<Env, "REGISTRIES">;
  readonly #isOver: () => boolean;
  readonly #underWay = new Set<Promise<void>>();

  /** @param isOver The copy has ended: what fails now is not tried again. */
  constructor(env: Pick<Env, "REGISTRIES">, isOver: () => boolean) {
    this.#env = env;
    this.#isOver = isOver;
  }

  /** @throws what the last try threw. */
  async send({ job, host }: OffersOf, offers: BlobOffer[]): Promise<void> {
    const sending = this.#ask(host, (registry) => registry.offer(job, offers));
    this.#underWay.add(sending);
    try {
      await sending;
    } finally {
      this.#underWay.delete(sending);
    }
  }

  /** Takes back whatever has been offered, so that it can be offered anew. @throws what the last try threw. */
  withdraw({ job, host }: OffersOf): Promise<void> {
    return this.#ask(host, (registry) => registry.withdraw(job));
  }

  /**
   * Resolves when the offers under way have ended, whichever way. Calls to one object through several stubs may overtake each
   * other: no offer may come after the withdrawal that belongs to the copy's end.
   */
  async quiet(): Promise<void> {
    await Promise.allSettled(this.#underWay);
  }

  async #ask(
    host: string,
    call: (registry: Pick<RegistryHostRpc, "offer" | "withdraw">) => Promise<void>,
  ): Promise<void> {
    for (let tries = 1; ; tries += 1) {
      try {
        // A stub that has thrown is broken for good.
        await call(this.#env.REGISTRIES.getByName(host));
        return;
      } catch (error) {
        if (tries === TRIES || this.#isOver()) {
          throw error;
        }
        await sleep(FIRST_PAUSE_MS * 2 ** tries);
      }
    }
  }
}

/** Names on their way to the target: what a cancellation waits for, and of which of them it cannot say what became. */
import { errorDetailOf } from "../registry/errors.ts";

export class NamePushes {
  /** How many pushes of each name: a template may give two tags one name, and a backup is a name too. */
  readonly #underWay = new Map<string, number>();
  readonly #unclear = new Set<string>();

  get any(): boolean {
    return this.#underWay.size > 0;
  }

  /** Names of which nobody knows whether the target has taken them. */
  get unclear(): string[] {
    return [...new Set([...this.#unclear, ...this.#underWay.keys()])];
  }

  begin(name: string): void {
    this.#underWay.set(name, (this.#underWay.get(name) ?? 0) + 1);
  }

  /** @param isKnown What became of it is in the ledger, or about to be. */
  end(name: string, isKnown: boolean): void {
    const others = (this.#underWay.get(name) ?? 1) - 1;
    if (others > 0) {
      this.#underWay.set(name, others);
    } else {
      this.#underWay.delete(name);
    }
    if (!isKnown) {
      this.#unclear.add(name);
    }
  }
}

/** Anything else may come from something between us and the registry, which has done what it was asked for all the same. */
export function isClearNo(error: unknown): boolean {
  const { status } = errorDetailOf(error);
  return status !== undefined && status >= 400 && status < 500;
}

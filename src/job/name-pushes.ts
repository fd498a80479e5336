/** Names on their way to the target: what a cancellation waits for, and of which of them it cannot say what became. */
export class NamePushes {
  readonly #underWay = new Set<string>();
  readonly #unclear = new Set<string>();

  get any(): boolean {
    return this.#underWay.size > 0;
  }

  /** Names of which nobody knows whether the target has taken them. */
  get unclear(): string[] {
    return [...this.#unclear, ...this.#underWay];
  }

  begin(name: string): void {
    this.#underWay.add(name);
  }

  /** @param isKnown What became of it is in the ledger, or about to be. */
  end(name: string, isKnown: boolean): void {
    this.#underWay.delete(name);
    if (!isKnown) {
      this.#unclear.add(name);
    }
  }
}

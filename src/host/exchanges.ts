/** What a host has to tell its sources, gathered until the call that tells it goes out: one to each source. */
import type { Exchange, LoanRequest } from "./contract.ts";
import type { Outcome } from "../registry/gate.ts";

type Gathered = Pick<Exchange, "returns" | "requests">;

export class Exchanges {
  #bySource = new Map<string, Gathered>();

  borrow(sourceHost: string, request: LoanRequest): void {
    this.#of(sourceHost).requests.push(request);
  }

  giveBack(sourceHost: string, id: string, outcome: Outcome): void {
    const gathered = this.#of(sourceHost);
    // Not asked for yet: what is given back first would never be given back again. An earlier asking may stand, though.
    gathered.requests = gathered.requests.filter((request) => request.id !== id);
    gathered.returns.push({ id, outcome });
  }

  tellRoom(sourceHost: string): void {
    this.#of(sourceHost);
  }

  /** Sources for which something has gathered. */
  sources(): string[] {
    return [...this.#bySource.keys()];
  }

  /** What has gathered for a source since. */
  take(sourceHost: string): Gathered {
    const gathered = this.#of(sourceHost);
    this.#bySource.delete(sourceHost);
    return gathered;
  }

  #of(sourceHost: string): Gathered {
    const gathered = this.#bySource.get(sourceHost) ?? { returns: [], requests: [] };
    this.#bySource.set(sourceHost, gathered);
    return gathered;
  }
}

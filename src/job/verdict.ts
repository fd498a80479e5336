/** Whether one failed name says something of all the others. Pure. */
import type { ErrorCode, ErrorDetail } from "../registry/errors.ts";

/** A registry that answers like this answers so to every name. */
const OF_ALL: ReadonlySet<ErrorCode> = new Set(["unauthorized", "rate_limited", "configuration"]);
/** A registry that is down; or one name has had bad luck. */
const OF_THE_HOST: ReadonlySet<ErrorCode> = new Set(["connection", "unavailable", "stalled"]);
/** Each has been tried several times, over minutes: after so many in a row without any success nobody waits for the rest. */
const HOPELESS = 5;

export class Verdict {
  #inARow = 0;

  /** @returns Whether going on is pointless. */
  failed({ code }: ErrorDetail): boolean {
    this.#inARow = OF_THE_HOST.has(code) ? this.#inARow + 1 : 0;
    return OF_ALL.has(code) || this.#inARow >= HOPELESS;
  }

  succeeded(): void {
    this.#inARow = 0;
  }
}

/**
 * Where the reads of a copy go: the mirrors of its source in their order, and last the source itself; and what the failure
 * of one of them means for the others. Pure.
 */
import type { ErrorCode, ErrorDetail } from "./errors.ts";

/** A repository at a registry host. */
export interface Place {
  host: string;
  repository: string;
}

/** How long a mirror is left out after it did not answer or was in trouble. */
const REST_MS = 60_000;

/**
 * All places in the order in which they are asked; never empty, the last one is the source.
 * @param mirrors As the settings of the source's host name them: `host`, or `host/prefix` where the repository lies below
 * that prefix.
 * @param target Never read from: what a copy brings there would be compared with itself, and found to be there already.
 */
export function placesToRead(source: Place, mirrors: readonly string[], target: Place): readonly Place[] {
  const { host, repository } = source;
  const places = mirrors
    .map((mirror) => {
      const slash = mirror.indexOf("/");
      return slash < 0
        ? { host: mirror, repository }
        : { host: mirror.slice(0, slash), repository: `${mirror.slice(slash + 1)}/${repository}` };
    })
    .filter((place) => place.host !== target.host || place.repository !== target.repository);
  return [...places, { host, repository }];
}

/**
 * What becomes of a read that failed at a mirror: `elsewhere`: this one goes to the next place; `rest`: so do those that
 * follow, for a while; `refused`: all that follow; `stop`: it is no failure of the mirror.
 */
export type MirrorVerdict = "elsewhere" | "rest" | "refused" | "stop";

/** The mirror is there, but not for us. */
const REFUSALS: ReadonlySet<ErrorCode> = new Set(["unauthorized", "denied"]);
/** The mirror is in trouble, whatever it is asked for. */
const TROUBLES: ReadonlySet<ErrorCode> = new Set(["connection", "unavailable", "stalled", "rate_limited"]);

export function mirrorVerdict({ side, code }: ErrorDetail): MirrorVerdict {
  if (side !== "source" || code === "cancelled") {
    return "stop";
  }
  return REFUSALS.has(code) ? "refused" : TROUBLES.has(code) ? "rest" : "elsewhere";
}

/** Which mirrors are asked now. */
export class Choice {
  readonly #mirrors: number;
  readonly #outUntilMs = new Map<number, number>();

  /** @param mirrors How many there are. */
  constructor(mirrors: number) {
    this.#mirrors = mirrors;
  }

  /** The mirrors from `first` on that are worth asking, as indexes in their order. After them it is the source's turn. */
  order(nowMs: number, first = 0): number[] {
    return Array.from({ length: this.#mirrors }, (_, index) => index).filter(
      (index) => index >= first && (this.#outUntilMs.get(index) ?? 0) <= nowMs,
    );
  }

  /** A read of a mirror has failed. */
  failed(index: number, verdict: MirrorVerdict, nowMs: number): void {
    if (verdict === "rest" || verdict === "refused") {
      this.#outUntilMs.set(index, verdict === "refused" ? Infinity : nowMs + REST_MS);
    }
  }
}

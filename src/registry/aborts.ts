/**
 * Listening to signals that may live longer than whoever listens. `AbortSignal.any` is not for that: workerd keeps each
 * combination for as long as any of its parts lives, a kilobyte each.
 */

/**
 * Calls `fired` with the reason of the first of these signals that fires, at once where one has.
 * @returns Ends the listening.
 */
export function onAbort(signals: readonly AbortSignal[], fired: (reason: unknown) => void): () => void {
  const first = signals.find((signal) => signal.aborted);
  if (first !== undefined) {
    fired(first.reason);
    return () => undefined;
  }
  const ends = signals.map((signal) => {
    const listener = (): void => fired(signal.reason);
    signal.addEventListener("abort", listener, { once: true });
    return () => signal.removeEventListener("abort", listener);
  });
  return () => {
    for (const end of ends) {
      end();
    }
  };
}

/**
 * Ends a request, and the reading of its answer, when any of some signals fires or somebody says so. Without the signals'
 * reasons: workerd notes a request that is aborted for any reason but its own as an error that nobody caught. Why a request
 * ended is read from the signals.
 */
export class Cut {
  readonly signals: readonly AbortSignal[];
  readonly #controller = new AbortController();
  readonly #unlisten: () => void;

  /** @param signals Are listened to until {@link release}. */
  constructor(signals: readonly AbortSignal[] = []) {
    this.signals = signals;
    this.#unlisten = onAbort(signals, () => this.now());
  }

  /** What the request ends with. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Ends the request. */
  now(): void {
    this.#controller.abort();
  }

  /** The request is over: the signals may live for as long as a copy of thousands of tags. */
  release(): void {
    this.#unlisten();
  }
}

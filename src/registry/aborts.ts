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

/**
 * A semaphore for the runtime's cap on connections: one invocation may have six requests waiting for response headers
 * (an upload waits until it is answered); a seventh would be queued by the runtime, unseen by our time limits.
 */

/** Cloudflare's cap per invocation. */
export const CONNECTIONS_PER_INVOCATION = 6;

export class ConnectionBudget {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(limit: number = CONNECTIONS_PER_INVOCATION) {
    this.#free = limit;
  }

  /** Waits for a connection, first come first served; the answer gives it back, once. Rejects with the signal's reason. */
  async acquire(signal: AbortSignal): Promise<() => void> {
    signal.throwIfAborted();
    if (this.#free > 0) {
      this.#free--;
    } else {
      await this.#wait(signal);
    }
    let held = true;
    return () => {
      if (!held) {
        return;
      }
      held = false;
      const next = this.#waiting.shift();
      if (next) {
        next();
      } else {
        this.#free++;
      }
    };
  }

  #wait(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const granted = (): void => {
        signal.removeEventListener("abort", aborted);
        resolve();
      };
      const aborted = (): void => {
        const place = this.#waiting.indexOf(granted);
        if (place >= 0) {
          this.#waiting.splice(place, 1);
        }
        reject(signal.reason);
      };
      this.#waiting.push(granted);
      signal.addEventListener("abort", aborted, { once: true });
    });
  }
}

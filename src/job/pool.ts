/**
 * Does the same for all items, with a bounded number at once; the answers are in their order. Fails with the first that fails,
 * and begins nothing after it.
 */
export async function atOnce<T, R>(width: number, items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results = new Map<number, R>();
  const waiting = items.entries();
  let hasFailed = false;
  const worker = async (): Promise<void> => {
    for (const [at, item] of waiting) {
      if (hasFailed) {
        return;
      }
      try {
        results.set(at, await work(item));
      } catch (error) {
        hasFailed = true;
        throw error;
      }
    }
  };
  await Promise.all(Array.from({ length: width }, worker));
  return [...results].toSorted(([one], [other]) => one - other).map(([, result]) => result);
}

/** Runs tasks with a bounded number at once, in the order they came. Stops taking new ones after the first error. */
export class Pool {
  readonly #width: number;
  readonly #onError: (error: unknown) => void;
  readonly #onIdle: () => void;
  readonly #waiting: (() => Promise<void>)[] = [];
  #running = 0;
  #stopped = false;

  /**
   * @param onError Told of the first error only.
   * @param onIdle Told whenever the last task has ended well.
   */
  constructor(width: number, onError: (error: unknown) => void, onIdle: () => void) {
    this.#width = width;
    this.#onError = onError;
    this.#onIdle = onIdle;
  }

  /** Nothing runs and nothing waits. */
  get idle(): boolean {
    return this.#running === 0 && this.#waiting.length === 0;
  }

  add(task: () => Promise<void>): void {
    if (this.#stopped) {
      return;
    }
    this.#waiting.push(task);
    this.#fill();
  }

  stop(): void {
    this.#stopped = true;
    this.#waiting.length = 0;
  }

  #fill(): void {
    while (this.#running < this.#width) {
      const task = this.#waiting.shift();
      if (task === undefined) {
        return;
      }
      this.#running += 1;
      void this.#run(task);
    }
  }

  async #run(task: () => Promise<void>): Promise<void> {
    try {
      await task();
    } catch (error) {
      if (!this.#stopped) {
        this.stop();
        this.#onError(error);
      }
    }
    this.#running -= 1;
    this.#fill();
    if (this.idle && !this.#stopped) {
      this.#onIdle();
    }
  }
}

/**
 * Ctrl-C and SIGTERM while a copy runs: the first asks the copy to end and waits a little for that, the second waits for
 * nothing.
 */
import { onStopSignal, type CommandIo, type StopSignal } from "./io.ts";

/** How long a cancelled copy may take to say so; then the command ends without having heard it. */
const CANCEL_LIMIT_MS = 2_000;

/** The command ended before its copy did. */
export class Interrupted extends Error {
  readonly signal: StopSignal;

  constructor(signal: StopSignal) {
    super("Interrupted.");
    this.name = "Interrupted";
    this.signal = signal;
  }
}

export class Interruption {
  readonly #giveUp = new AbortController();
  /** Resolves at the second signal. */
  readonly hurry: Promise<void>;
  readonly #ignoreSignals: () => void;
  #first: StopSignal | null = null;
  #cancel: () => void = () => undefined;
  #timer: ReturnType<typeof setTimeout> | null = null;

  constructor(io: CommandIo) {
    let hurryUp = (): void => undefined;
    this.hurry = new Promise((resolve) => (hurryUp = resolve));
    this.#ignoreSignals = onStopSignal(io, (signal, count) => {
      this.#stop(signal, count);
      if (count > 1) {
        hurryUp();
      }
    });
  }

  /** Aborted with {@link Interrupted} when nothing is waited for any longer. */
  get giveUp(): AbortSignal {
    return this.#giveUp.signal;
  }

  /** The first signal that came, if any. */
  get signal(): StopSignal | null {
    return this.#first;
  }

  /** From now on this is how the copy is cancelled; at once when a signal has come already. */
  set cancelBy(cancel: () => void) {
    this.#cancel = cancel;
    if (this.#first !== null) {
      cancel();
    }
  }

  /** @throws Interrupted when a signal has come. */
  check(): void {
    if (this.#first !== null) {
      throw new Interrupted(this.#first);
    }
  }

  /** What `work` answers, unless nothing is waited for any longer: then it is left to itself. @throws Interrupted */
  orGivenUp<T>(work: Promise<T>): Promise<T> {
    const { signal } = this.#giveUp;
    const givenUp = new Promise<never>((_resolve, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    });
    return Promise.race([work, givenUp]);
  }

  [Symbol.dispose](): void {
    this.#ignoreSignals();
    if (this.#timer !== null) {
      clearTimeout(this.#timer);
    }
  }

  #stop(signal: StopSignal, count: number): void {
    this.#first ??= signal;
    const interrupted = new Interrupted(this.#first);
    if (count > 1) {
      this.#giveUp.abort(interrupted);
      return;
    }
    this.#cancel();
    this.#timer = setTimeout(() => this.#giveUp.abort(interrupted), CANCEL_LIMIT_MS);
  }
}

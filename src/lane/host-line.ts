/**
 * A lane's line to one RegistryHost: a session that is opened again when the object it led to was reset, so that the
 * lane's streams need not know. Every call of the session is safe to repeat.
 */
import type { HostSession, Joiner, Progress, Renewal, Transfer, TransferReport } from "../host/contract.ts";
import { errorDetailOf } from "../registry/errors.ts";
import type { Authorization, AuthorizationRequest } from "../registry/gate.ts";
import { Authorizations } from "./authorizations.ts";
import { pause } from "./time.ts";

/** Sessions opened in a row, without a call between them that got through, after which the host is given up. */
const JOINS_MAX = 6;
/** Wait before the second of them, doubled from then on: an object is back within a second or so. */
const JOIN_WAIT_MS = 100;

export type Join = (who: Joiner) => Promise<HostSession>;

export class HostLine {
  readonly #join: Join;
  readonly #who: () => Joiner;
  readonly #hungUp = new AbortController();
  readonly #authorizations: Authorizations;
  #session: Promise<HostSession> | null = null;
  /** Sessions that failed a call. They end after the next one has taken their leases over: ending them frees the rest. */
  #failed: Promise<HostSession>[] = [];
  #joins = 0;
  #isRetired = false;

  /** @param who Asked at every joining: the leases still held change. */
  constructor(join: Join, who: () => Joiner, now: () => number = Date.now) {
    this.#join = join;
    this.#who = who;
    this.#authorizations = new Authorizations((request) => this.#call((session) => session.authorize(request)), now);
  }

  /** The next transfer; null: nothing to do, or the line takes nothing more. */
  async next(report?: TransferReport): Promise<Transfer | null> {
    const { signal } = this.#hungUp;
    if (signal.aborted) {
      return null;
    }
    return new Promise((resolve, reject) => {
      const hangUp = (): void => resolve(null);
      signal.addEventListener("abort", hangUp, { once: true });
      this.#call((session) => this.#ask(session, report))
        .finally(() => signal.removeEventListener("abort", hangUp))
        .then(resolve, reject);
    });
  }

  /**
   * Takes nothing more. Not by hanging up: the host may have handed out a transfer that is still on its way here, and
   * would count it as cut off by the lane's death.
   */
  retire(): Promise<void> {
    this.#isRetired = true;
    return this.#call((session) => session.retire());
  }

  report(report: TransferReport): Promise<void> {
    return this.#call((session) => session.report(report));
  }

  renew(progress: Progress[]): Promise<Renewal> {
    return this.#call((session) => session.renew(progress));
  }

  authorize(request: AuthorizationRequest): Promise<Authorization | null> {
    return this.#authorizations.authorize(request);
  }

  /** Ends the session: the host frees whatever this lane holds, and every waiting `next` answers null. */
  [Symbol.dispose](): void {
    this.#hungUp.abort(new Error("the lane has ended"));
    if (this.#session !== null) {
      this.#failed.push(this.#session);
      this.#session = null;
    }
    this.#endFailed();
  }

  /** Asked again after a reset of the host's object, whose new session knows nothing of a retirement. */
  async #ask(session: HostSession, report: TransferReport | undefined): Promise<Transfer | null> {
    if (!this.#isRetired) {
      return session.next(report);
    }
    if (report !== undefined) {
      await session.report(report);
    }
    return null;
  }

  async #call<T>(ask: (session: HostSession) => Promise<T>): Promise<T> {
    for (let tries = 1; ; tries += 1) {
      this.#hungUp.signal.throwIfAborted();
      this.#session ??= this.#open();
      const current = this.#session;
      try {
        const answer = await ask(await current);
        this.#joins = 0;
        return answer;
      } catch (thrown) {
        // An error that the host means to tell (a refused login) is an answer. The rest cannot be told from a reset of
        // the object: even an abort of it arrives as an error that its own code might have thrown.
        if (isAnswer(thrown) || this.#hungUp.signal.aborted) {
          throw thrown;
        }
        this.#replace(current);
        if (tries > JOINS_MAX || this.#joins >= JOINS_MAX) {
          throw thrown;
        }
      }
    }
  }

  async #open(): Promise<HostSession> {
    const waitMs = this.#joins === 0 ? 0 : JOIN_WAIT_MS * 2 ** (this.#joins - 1);
    this.#joins += 1;
    if (waitMs > 0) {
      await pause(waitMs, this.#hungUp.signal);
    }
    const session = await this.#join(this.#who());
    this.#endFailed();
    return session;
  }

  /** Has the next call join anew, unless another call has seen to it. */
  #replace(failed: Promise<HostSession>): void {
    if (this.#session === failed) {
      this.#session = null;
      this.#failed.push(failed);
    }
  }

  #endFailed(): void {
    for (const failed of this.#failed.splice(0)) {
      failed.then((session) => session[Symbol.dispose]()).catch(() => undefined);
    }
  }
}

function isAnswer(thrown: unknown): boolean {
  return errorDetailOf(thrown).code !== "internal";
}

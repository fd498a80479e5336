/**
 * A job's way through one RegistryHost: its gate for small requests, on top of one session. Joins again when the session
 * broke; grants nothing itself and never asks for a blob's slot.
 */
import type { HeldSlot, HostSession, SmallRequest } from "../host/contract.ts";
import { CopyError, errorDetailOf } from "../registry/errors.ts";
import type { Authorization, AuthorizationRequest, Gate, Outcome, RequestKind, Slot } from "../registry/gate.ts";

/** What a job uses of a session. */
export type JobSession = Pick<HostSession, "acquire" | "release" | "authorize"> & Disposable;

export interface SessionGateOptions {
  job: string;
  /** Nobody waits for the copy. */
  background: boolean;
  /**
   * Joins the host through a new stub: a stub that threw once is broken.
   * @param held Slots held since before, which stay this job's.
   */
  join: (held: HeldSlot[]) => Promise<JobSession>;
  newId: () => string;
  /** Waits before a further try; milliseconds. */
  pause: (ms: number) => Promise<void>;
}

/** A host's object that restarts is back within a second; what lasts longer is for the next run of the job. */
const MAX_JOINS = 4;
const FIRST_PAUSE_MS = 50;

export class SessionGate implements Gate {
  readonly #options: SessionGateOptions;
  /** By lease. */
  readonly #held = new Map<string, HeldSlot>();
  #session: Promise<JobSession> | null = null;
  #closed = false;

  constructor(options: SessionGateOptions) {
    this.#options = options;
  }

  /** Joins already now, so that the first request need not wait for it. */
  open(): void {
    this.#join().catch(() => {
      // The first request meets the same error, or joins again.
    });
  }

  async acquire(kind: RequestKind, bytes: number): Promise<Slot> {
    const { job, background, newId } = this.#options;
    const request: SmallRequest = { id: newId(), kind: smallKind(kind), bytes, job, ...(background && { background }) };
    // Asking again under the same id cannot take two slots.
    const lease = await this.#ask((joined) => joined.acquire(request));
    this.#held.set(lease, { lease, kind: request.kind, bytes });
    return {
      release: (outcome: Outcome) => {
        if (this.#held.delete(lease)) {
          this.#ask((joined) => joined.release(lease, outcome)).catch(() => {
            // Out of reach: the slot is free when this job joins anew, or runs out by itself.
          });
        }
      },
    };
  }

  /** The slots that it has now. */
  get held(): HeldSlot[] {
    return [...this.#held.values()];
  }

  async authorize(request: AuthorizationRequest): Promise<Authorization | null> {
    return this.#ask((session) => session.authorize(request));
  }

  /** Leaves the host: all slots are free again. */
  close(): void {
    this.#closed = true;
    this.#drop(this.#session);
  }

  async #ask<T>(call: (session: JobSession) => Promise<T>): Promise<T> {
    for (let tries = 1; ; tries += 1) {
      const joined = this.#join();
      try {
        return await call(await joined);
      } catch (error) {
        // A refusal of the host is an answer; everything else means that the session is broken.
        if (isRefusal(error) || this.#closed || tries === MAX_JOINS) {
          throw error;
        }
        this.#drop(joined);
        await this.#options.pause(FIRST_PAUSE_MS * 2 ** tries);
      }
    }
  }

  #join(): Promise<JobSession> {
    if (this.#closed) {
      return Promise.reject(new Error("The copy has left this registry host."));
    }
    this.#session ??= this.#options.join(this.held);
    return this.#session;
  }

  #drop(joined: Promise<JobSession> | null): void {
    if (joined === null) {
      return;
    }
    if (this.#session === joined) {
      this.#session = null;
    }
    joined.then(
      (session) => session[Symbol.dispose](),
      () => {},
    );
  }
}

function isRefusal(error: unknown): boolean {
  return errorDetailOf(error).code !== "internal";
}

function smallKind(kind: RequestKind): SmallRequest["kind"] {
  if (kind !== "blob") {
    return kind;
  }
  throw new CopyError({
    code: "internal",
    side: "service",
    host: "",
    operation: "acquire slot",
    retryable: false,
    message: "A job moves no blobs; lanes do.",
  });
}

/**
 * One caller's stay at a host, as the runtime sees it: a bare RpcTarget, whose disposer runs within milliseconds of the
 * end of the caller's invocation. (Inside a result object it would never run: the caller's slots would leak.)
 */
import { RpcTarget } from "cloudflare:workers";
import type { HostSession, Progress, Renewal, SmallRequest, Transfer, TransferReport } from "./contract.ts";
import type { Authorization, AuthorizationRequest, Outcome } from "../registry/gate.ts";

/** What a session passes on to its host; every call carries the session's own id. */
export interface SessionHost {
  next(session: string, report?: TransferReport): Promise<Transfer | null>;
  report(report: TransferReport): Promise<void>;
  retire(session: string): void;
  renew(session: string, progress: Progress[]): Renewal;
  acquire(session: string, request: SmallRequest): Promise<string>;
  release(lease: string, outcome: Outcome): void;
  authorize(request: AuthorizationRequest): Promise<Authorization | null>;
  leave(session: string): void;
}

export class Session extends RpcTarget implements HostSession {
  #id: string;
  #host: SessionHost;

  constructor(id: string, host: SessionHost) {
    super();
    this.#id = id;
    this.#host = host;
  }

  next(report?: TransferReport): Promise<Transfer | null> {
    return this.#host.next(this.#id, report);
  }

  report(report: TransferReport): Promise<void> {
    return this.#host.report(report);
  }

  async retire(): Promise<void> {
    this.#host.retire(this.#id);
  }

  async renew(progress: Progress[]): Promise<Renewal> {
    return this.#host.renew(this.#id, progress);
  }

  acquire(request: SmallRequest): Promise<string> {
    return this.#host.acquire(this.#id, request);
  }

  async release(lease: string, outcome: Outcome): Promise<void> {
    this.#host.release(lease, outcome);
  }

  authorize(request: AuthorizationRequest): Promise<Authorization | null> {
    return this.#host.authorize(request);
  }

  [Symbol.dispose](): void {
    this.#host.leave(this.#id);
  }
}

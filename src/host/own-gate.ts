/** The gate of the requests that a host's object sends itself: they wait for a slot as everybody's do. */
import type { Authorization, AuthorizationRequest, Gate, RequestKind, Slot } from "../registry/gate.ts";
import type { SmallRequest } from "./contract.ts";
import type { SessionHost } from "./session.ts";

/** Stands as the job of these requests, which no copy's id can be. */
export const OWN_REQUESTS = "host";

export class OwnGate implements Gate {
  readonly #session: string;
  readonly #host: Pick<SessionHost, "acquire" | "release" | "authorize">;
  readonly #newId: () => string;

  /** @param session Holds the slots; nobody ends it, since it lasts as long as the host's object. */
  constructor(session: string, host: Pick<SessionHost, "acquire" | "release" | "authorize">, newId: () => string) {
    this.#session = session;
    this.#host = host;
    this.#newId = newId;
  }

  async acquire(kind: RequestKind, bytes: number): Promise<Slot> {
    const request: SmallRequest = { id: this.#newId(), kind: smallKind(kind), bytes, job: OWN_REQUESTS };
    const lease = await this.#host.acquire(this.#session, request);
    let isHeld = true;
    return {
      release: (outcome) => {
        if (isHeld) {
          isHeld = false;
          this.#host.release(lease, outcome);
        }
      },
    };
  }

  authorize(request: AuthorizationRequest): Promise<Authorization | null> {
    return this.#host.authorize(request);
  }
}

function smallKind(kind: RequestKind): SmallRequest["kind"] {
  if (kind === "blob") {
    throw new Error("An object moves no blobs.");
  }
  return kind;
}

/**
 * What others may ask of a RegistryHost, and what it hands out. Everything here is plain data and crosses RPC.
 */
import type { Referrer } from "../registry/contract.ts";
import type { CatalogPage } from "../registry/catalog.ts";
import type { ErrorDetail } from "../registry/errors.ts";
import type {
  Authorization,
  AuthorizationRequest,
  Outcome,
  OutcomeClass,
  Quota,
  RequestKind,
} from "../registry/gate.ts";
import type { UploadShape } from "../registry/upload-shape.ts";

/** A queue message: "send a lane to this host". Which blob it moves is decided when it asks. */
export interface WorkOrder {
  v: 1;
  host: string;
  lane: string;
}

/** A blob that a copy needs at this host. Offering the same `id` again changes nothing. */
export interface BlobOffer {
  /** Unique per job and target repository: `<job>/<target repository>@<digest>`. */
  id: string;
  digest: string;
  sizeBytes: number;
  targetRepository: string;
  sourceHost: string;
  sourceRepository: string;
  /** Should the source not have it, another place will be asked: it is not looked for there twice. Missing: there is none. */
  hasOtherPlace?: boolean;
  /** The blob may be at the target already: look before it is sent. */
  mayExist: boolean;
  /**
   * Repositories of this host, as patterns (`access/scopes.ts`), from which it may be mounted; missing: none but the source,
   * where that is at this host.
   */
  mountable?: string[];
  /** First arrival, milliseconds since the epoch; survives every retry. */
  since: number;
  /** Nobody waits for this copy: it leaves the reserve of a host's quota to others. Missing: somebody does. */
  background?: boolean;
}

/** One blob handed to a lane, with a slot at both ends. */
export interface Transfer {
  /** Names the lease at this host; every report refers to it. */
  lease: string;
  /** Names the slot at the source; null: the source is this host too. */
  loan: string | null;
  offer: BlobOffer;
  job: string;
  /** Repositories of the target host that may hold the blob, best first. */
  mountFrom: string[];
  /** 1 for the first try. */
  attempt: number;
  /** How this host takes blobs, as far as it is known; missing: as little as the lane knows itself. */
  shape?: UploadShape;
  /** What an earlier lane could not finish: to be gone on with if the registry still has it. */
  handover?: Handover;
}

/**
 * An open upload as one lane leaves it to the next. The location may hold state signed by the registry, so it is neither
 * logged nor told to anybody but lanes of this host.
 */
export interface Handover {
  v: 1;
  location: string;
  /** What the session said of its chunks; 0: nothing. */
  minChunkBytes: number;
  maxChunkBytes: number;
  /** Bytes of the blob that the registry has stored, by its own answers. */
  offsetBytes: number;
  /** The hash of just these bytes; missing where the digest is left to the target. */
  hash?: SavedHash;
}

/** The state of a hash, to be gone on with by whoever knows the format. */
export interface SavedHash {
  format: string;
  /** In base64. */
  state: string;
}

/**
 * What became of a transfer. `returned`: not tried, or not finished in the lane's time; give it to another lane. It costs no
 * attempt unless a handover shows that the lane has gained nothing.
 */
export type TransferResult =
  | { kind: "copied" | "mounted" | "present" }
  | { kind: "failed"; error: ErrorDetail }
  | { kind: "returned" };

export interface TransferReport {
  lease: string;
  result: TransferResult;
  /** Bytes that reached the target, whatever the result. */
  bytes: number;
  target: Outcome;
  source: Outcome;
  requests: { source: number; target: number };
  warnings: string[];
  /** When the first byte of the body arrived from the source, milliseconds since the epoch. */
  firstByteAt?: number;
  /** The shape to send blobs in from now on: a refusal or an answer has taught it. */
  learned?: UploadShape;
  /** The upload is open still and worth going on with. Missing: it is over, and so is what was told of it before. */
  handover?: Handover;
}

/** What the host tells a CopyJob about one of its offers. */
export interface Settlement {
  id: string;
  digest: string;
  outcome: "copied" | "mounted" | "present" | "failed";
  bytes: number;
  requests: { source: number; target: number };
  warnings: string[];
  firstByteAt?: number;
  error?: ErrorDetail;
}

export interface Progress {
  lease: string;
  bytes: number;
  /**
   * What to go on with should this lane die, or, at offset 0, only to delete: from now on the session is the host's to end.
   * Missing: as told before.
   */
  handover?: Handover;
}

export interface Renewal {
  /** Leases that are not the caller's any more: their streams are to be broken off. */
  lost: string[];
  /** Of these, the ones whose blob nobody wants any more: their upload sessions are to be deleted. */
  withdrawn: string[];
}

export interface SmallRequest {
  id: string;
  kind: Exclude<RequestKind, "blob">;
  bytes: number;
  job: string;
  /** As of a {@link BlobOffer}. */
  background?: boolean;
}

/** Who joins: a lane that takes transfers, or a job with small requests only. */
export interface Joiner {
  name: string;
  /** Transfers it will run at once; 0 for a job. */
  width: number;
  /** All that it still holds from a session that broke: a host that was restarted knows of it from here alone. */
  held: HeldSlot[];
}

/** A slot as its holder tells of it. */
export type HeldSlot =
  | { lease: string; kind: SmallRequest["kind"]; bytes: number }
  /** Of a transfer; the rest as in {@link Transfer}. */
  | { lease: string; kind: "blob"; bytes: number; job: string; offer: string; sourceHost: string; loan: string | null };

/** A borrowed slot as its borrower tells of it. */
export interface HeldLoan {
  id: string;
  job: string;
  bytes: number;
}

/**
 * A caller's stay at the host: a bare RpcTarget. When the caller's invocation ends, however it ends, the session is
 * disposed and all its slots are free again.
 */
export interface HostSession {
  /** Reports a finished transfer, if any, and waits for the next. Null: nothing to do, end. */
  next(report?: TransferReport): Promise<Transfer | null>;
  /** Reports a finished transfer without asking for another. */
  report(report: TransferReport): Promise<void>;
  /** Takes nothing more: every waiting `next` is answered, with null unless a transfer is on its way to it already. */
  retire(): Promise<void>;
  /** Extends the leases and tells how far the transfers are. */
  renew(progress: Progress[]): Promise<Renewal>;
  /** Waits for a slot for a small request; the answer names the lease. */
  acquire(request: SmallRequest): Promise<string>;
  release(lease: string, outcome: Outcome): Promise<void>;
  authorize(request: AuthorizationRequest): Promise<Authorization | null>;
  [Symbol.dispose](): void;
}

/** A slot that another host asks for, to send a blob from here. */
export interface LoanRequest {
  /** The offer's id at the asking host. */
  id: string;
  borrower: string;
  job: string;
  bytes: number;
  jobBytesLeft: number;
  since: number;
  /** As of a {@link BlobOffer}. */
  background?: boolean;
  /** The borrower holds a slot of its own for this one and must not be left waiting behind a younger holder. */
  starving: boolean;
}

/** All that a host tells another whose slots it borrows, in one call. */
export interface Exchange {
  borrower: string;
  /** Loans that it could use at once, those that it keeps a slot for while it asks included. */
  room: number;
  /** Slots, or places in the queue, that it gives back. */
  returns: { id: string; outcome: Outcome }[];
  requests: LoanRequest[];
}

export interface ExchangeAnswer {
  /** In the order of the requests. */
  answers: LoanAnswer[];
  /** Loans of the borrower that waited here and have a slot now; one that it does not use is to be given back. */
  lent: string[];
}

/** `full`: the borrower has no room for it now, and will ask for it anew. `unwanted`: it knows nothing of it any more. */
export type LentAnswer = "taken" | "full" | "unwanted";

/**
 * `refused`: the source is to be left alone for longer than anyone should wait. `heldBack`: it waits for the source's quota,
 * which may take hours, so nothing is to be kept for it meanwhile.
 */
export type LoanAnswer = { lease: string } | { queued: true; heldBack?: boolean } | { refused: ErrorDetail };

/** How things stand at one host. Times are RFC 3339 strings. */
export interface HostSnapshot {
  host: string;
  /** Requests that wait for a slot, those held back included. */
  waiting: Record<RequestKind, number>;
  /** Of those that wait: requests of background copies, held back because the quota is low. */
  heldBack: number;
  active: Record<RequestKind, number>;
  lanes: { joined: number; ordered: number };
  limit: { slots: number; reason: string };
  pause: { until: string; reason: string } | null;
  /** What the host last said of its rate limit, and until when background copies leave the rest of it to others. */
  quota: (Quota & { seenAt: string; heldBackUntil: string | null }) | null;
  lastHour: { grants: Record<RequestKind, number>; outcomes: Record<OutcomeClass, number> };
  /** What became of all slots that were ever given out. */
  totalOutcomes: Record<OutcomeClass, number>;
  learned: LearnedProfile;
  /** In which shape blobs are sent there, and why. */
  uploads: UploadShape;
  settings: Record<string, SettingInForce>;
}

/** What a host has taught by its answers; forgotten on request. */
export interface LearnedProfile {
  /** The same in sentences. */
  summary: string[];
  concurrency: {
    /** Requests at once that it is thought to bear, before any cap. */
    limit: number;
    /** Fewest requests at once that it has refused; null: none known. */
    refusedAt: number | null;
    /** Whether it ever refused any. */
    refused: boolean;
  };
  /** Steps of the pause after a failure: 0 when all is well, each further one doubles it. */
  backoff: { step: number };
  /** Blobs whose repository is remembered, so that they can be mounted from there. */
  mountCandidates: number;
}

export interface SettingInForce {
  value: string | number | string[];
  /** It is what holds without any configuration. */
  isDefault: boolean;
  /** It stands above what was learned. */
  overridesLearned: boolean;
}

/** An entry for the list of its subject's referrers; the manifest it stands for is at the host already. */
export interface ReferrerAddition {
  repository: string;
  /** Digest of the manifest that is referred to. */
  subject: string;
  entry: Referrer;
}

/** The RPC surface of RegistryHost. */
export interface RegistryHostRpc {
  join(who: Joiner): Promise<HostSession>;
  offer(job: string, offers: BlobOffer[]): Promise<void>;
  /** Takes back everything a job has offered; running transfers find their lease lost. */
  withdraw(job: string): Promise<void>;
  /**
   * As a source: takes slots back, and answers each request with a slot or a place in the queue. Never lends more than the
   * borrower has room for. Asking again with the same id, and giving back what was given back, changes nothing.
   */
  exchange(exchange: Exchange): Promise<ExchangeAnswer>;
  /** As a source: keeps borrowed slots from expiring. */
  keep(ids: string[]): Promise<void>;
  /** As a target: all slots that it has of a source which was restarted; null: it does not know them all itself yet. */
  loansOf(sourceHost: string): Promise<HeldLoan[] | null>;
  /** As a target: the source has a slot for this offer now. */
  lent(id: string): Promise<LentAnswer>;
  /**
   * As a target without the referrers API: lists a referrer under the fallback tag of its subject. The one writer of that
   * list, so that no entry is lost; ends when the registry has it. Asking again changes nothing.
   * @throws CopyError, side target, when the list cannot be written, or something else is under that tag.
   */
  addReferrer(addition: ReferrerAddition): Promise<void>;
  /**
   * One page of the host's repositories, asked for as a source; `cursor` null: the first.
   * @throws CopyError, side source; `unsupported` where the registry does not list them for us.
   */
  listRepositories(cursor: string | null): Promise<CatalogPage>;
  snapshot(): Promise<HostSnapshot>;
  /** Forgets what the host has taught: concurrency, pause, quota, shape of uploads, mount candidates. Leases and offers stay. */
  forget(): Promise<HostSnapshot>;
}

/**
 * Webhooks in: what a delivery is read into, what a hook is configured with, and what one sender must know. Plain data
 * throughout. A payload is a hint and never an order: whoever starts copies resolves the tag at the source with the
 * service's own credentials.
 */

/** Who may send; the value of `sender` in a hook's configuration, where `auto` stands for whichever recognises it. */
export const SENDER_NAMES = [
  "distribution",
  "dockerhub",
  "ghcr",
  "harbor",
  "quay",
  "acr",
  "ecr",
  "google",
  "jfrog",
  "gitea",
  "gitlab",
  "zot",
  "aliyun",
  "nexus",
  "generic",
  "cloudevents",
] as const;

export type SenderName = (typeof SENDER_NAMES)[number];

/** Something was pushed, as its sender tells it. */
export interface PushEvent {
  /** Registry host with port if any, as the sender calls it; missing where the payload does not say. */
  registryHost?: string;
  repository: string;
  tag?: string;
  /** `algorithm:encoded`. */
  digest?: string;
  mediaType?: string;
  /** When it was pushed, milliseconds since the epoch. */
  pushedAtMs?: number;
  /** The sender's id, the same in every retry. Of the delivery: several tags of one delivery share it. */
  deliveryId?: string;
  sender: string;
}

/** A push whose names have been checked: host canonical, repository, tag and digest as the distribution-spec has them. */
export interface CheckedPushEvent extends PushEvent {
  registryHost: string;
}

/** Why a part of a delivery starts nothing. */
export interface Ignored {
  /** `repository:tag`, or what else the sender calls it. */
  what: string;
  reason: string;
}

export type Parsed =
  | { kind: "push"; events: PushEvent[]; ignored: Ignored[] }
  | { kind: "ping" }
  | { kind: "handshake"; answer: HandshakeAnswer }
  | { kind: "ignored"; reason: string }
  /** More than a delivery may have, so that it was not read to its end. */
  | { kind: "too-many" }
  | { kind: "invalid"; problem: string };

/** What a sender wants to hear before it delivers anything. */
export interface HandshakeAnswer {
  status: number;
  headers: Record<string, string>;
  /** JSON, or null for none. */
  body: unknown;
}

/** A request that has been read, before anything in it is believed. */
export interface Delivery {
  headers: Headers;
  query: URLSearchParams;
  /** What a signature may be over: the body exactly as received first; then unpacked, and the field of a form. */
  signed: readonly [Uint8Array<ArrayBuffer>, ...Uint8Array<ArrayBuffer>[]];
  /** The JSON of the body, undefined where it has none. */
  body: unknown;
  receivedAtMs: number;
}

export interface Sender {
  readonly name: SenderName;
  /** Whether a delivery can only be this sender's. Asked in the order of the table, for hooks with `sender: "auto"`. */
  recognises(headers: Headers, body: unknown): boolean;
  /** Whether the delivery proves to know the secret, by the sender's own means; missing: by any means of `secrets.ts`. */
  verify?(delivery: Delivery, secret: string): Promise<boolean>;
  parse(delivery: Delivery, hook: Hook): Parsed;
}

/** A hook as configured, its secrets filled in. */
export interface Hook {
  name: string;
  sender: SenderName | "auto";
  /** SHA-256 of the part of the address that cannot be guessed, `sha256:hex`. */
  pathHash: string;
  /** Takes the place of whatever registry host the payload names. */
  registryHost?: string;
  /** Taken off the front of each repository where it begins with it; before `addPrefix`. */
  stripPrefix?: string;
  /** Put in front of each repository. */
  addPrefix?: string;
  /** What a delivery must prove to know, by signature or by sending it. One suffices: old and new live together. */
  secrets?: readonly string[];
  /** Headers that a delivery must carry, exactly. */
  headers?: readonly { name: string; value: string }[];
  /** The token that a delivery must carry as `Authorization: Bearer`. */
  token?: TokenCheck;
  /** Where the generic senders find things. */
  fields?: FieldPointers;
  /** Also what was pushed by digest alone; missing: ignored, since such manifests are parts of something with a tag. */
  untagged?: boolean;
}

/** A JSON Web Token, checked against its issuer's keys. */
export interface TokenCheck {
  /** Values of `iss` that are accepted. */
  issuers: readonly string[];
  audience: string;
  /** Where the issuer publishes its keys. */
  jwksUrl: string;
  /** Further claims with the one value that is accepted, such as `email`. */
  claims?: Readonly<Record<string, string | boolean>>;
}

/** JSON pointers (RFC 6901) into a delivery; those after `events` start at each of its elements. */
export interface FieldPointers {
  /** A list of events; missing: the body is one event, or a list of them. */
  events?: string;
  /** `host/repository:tag@digest`, or part of it. */
  reference?: string;
  registryHost?: string;
  repository?: string;
  /** A tag or a list of tags. */
  tag?: string;
  digest?: string;
  mediaType?: string;
  deliveryId?: string;
  pushedAt?: string;
  action?: string;
  /** Values of `action` that mean a push; missing: everything that does not sound like something else. */
  pushActions?: readonly string[];
}

/** What became of the events of one delivery. */
export interface StartResult {
  started: StartedCopy[];
  /** Copies of the same thing that were under way or done. */
  joined: StartedCopy[];
  ignored: Ignored[];
}

export interface StartedCopy {
  /** Id of the copy. */
  copy: string;
  source: string;
  target: string;
}

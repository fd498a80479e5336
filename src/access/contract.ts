/** Who asks, and what they may: plain data, understood by the door, the index and whoever starts copies for somebody. */

/** Everything that somebody may be allowed. Every route names one of these; a route without one is open to everybody. */
export const ACTIONS = ["copy", "read", "cancel", "rules", "hooks", "keys", "registries", "prune"] as const;

export type Action = (typeof ACTIONS)[number];

/** What somebody may do, and with which repositories. Patterns are those of `pattern.ts`, in canonical form. */
export interface Scopes {
  /** Where copies may come from. */
  sources: readonly string[];
  /** Where copies may go to. */
  targets: readonly string[];
  actions: readonly Action[];
}

/** Bounds on copies; a missing one does not bind. */
export interface Limits {
  /** Copies that have not ended. */
  copiesAtOnce?: number;
  /** Copies that were accepted within the last 60 minutes, however they ended. */
  copiesPerHour?: number;
}

/** Somebody who has shown who they are. */
export interface Principal {
  /** `root`, `key_…`, `oidc:ISSUER:SUBJECT` or `access:WHO`: owns copies, and the idempotency keys that it has used. */
  id: string;
  /** For a person. */
  name: string;
  kind: "root" | "key" | "oidc" | "access";
  scopes: Scopes;
  limits: Limits;
  /** What the limits are counted against: a key made by a limited one shares its maker's. */
  budget: string;
  /** When its proof runs out, in milliseconds since the epoch; null: never, or it is shown anew each time. */
  expiresAtMs: number | null;
}

/** Whoever has one of the tokens of the setting TOKENS: the operator. */
export const ROOT: Principal = {
  id: "root",
  name: "root",
  kind: "root",
  scopes: { sources: ["**"], targets: ["**"], actions: ACTIONS },
  limits: {},
  budget: "root",
  expiresAtMs: null,
};

/** How the tokens of one issuer are checked, and whom they admit. */
export interface IssuerSettings {
  kind: "oidc" | "access";
  /** As the claim `iss` has it, to the letter. */
  issuer: string;
  /** A token must be meant for one of these. */
  audiences: readonly string[];
  /** Null: the issuer's discovery document says where its keys are. */
  jwksUri: string | null;
  /** The first rule that fits decides. */
  rules: readonly IdentityRule[];
}

export interface IdentityRule {
  name: string;
  /** Claims that must all be there, each fitting one of its patterns (`claims.ts`). */
  claims: Readonly<Record<string, readonly string[]>>;
  scopes: Scopes;
  limits: Limits;
}

/**
 * The secret REGISTRY_CREDENTIALS: how the service proves to registries who it is, by `host` or `host/repository prefix`.
 * Pure: what it may hold, and what is said about everything else, by the name of the field and never with a value. The
 * flows stand in `registry/cloud/`.
 */
import * as z from "zod";
import { parseEcrHost } from "../registry/cloud/ecr-host.ts";
import { placeOf } from "../registry/credentials.ts";
import { checked, isGiven, parsed, type Reading } from "./checking.ts";
import { parseHostName } from "./host-name.ts";

const text = z.string("text is needed").min(1, "must not be empty");

const httpsUrl = text.refine(
  (value) => URL.canParse(value) && new URL(value).protocol === "https:" && new URL(value).username === "",
  "an address that begins with https:// is needed, without user information",
);

/** A private key as PEM; secrets that went through an environment often have `\n` for their line breaks. */
const privateKey = text
  .transform((value) => value.replaceAll("\\n", "\n"))
  .refine(
    (value) => value.includes("-----BEGIN PRIVATE KEY-----"),
    "a private key in PKCS #8 is needed, which begins with -----BEGIN PRIVATE KEY-----",
  );

/** An OpenID Connect token that a cloud trusts instead of a key of its own. */
const Identity = z.union(
  [
    z.strictObject({ token: text }),
    z.strictObject({ url: httpsUrl, headers: z.record(z.string(), z.string()).optional(), field: text.optional() }),
    z.strictObject({
      issuer: httpsUrl,
      subject: text,
      audience: text,
      private_key: privateKey,
      key_id: text.optional(),
    }),
  ],
  "use { token }, { url, headers?, field? } or { issuer, subject, audience, private_key, key_id? }",
);

const ServiceAccount = z
  .preprocess(
    parsed,
    z.looseObject(
      {
        client_email: text,
        private_key: privateKey,
        private_key_id: text.optional(),
        token_uri: httpsUrl.optional(),
      },
      "the key file of a service account is needed, as an object or as text",
    ),
  )
  .optional();

const Basic = z.strictObject({ kind: z.literal("basic"), username: text, password: text });

const Ecr = z
  .strictObject({
    kind: z.literal("ecr"),
    access_key_id: text.optional(),
    secret_access_key: text.optional(),
    session_token: text.optional(),
    role_arn: text.regex(/^arn:[a-z-]+:iam::\d{12}:role\//, "the ARN of a role is needed").optional(),
    role_session_name: text.regex(/^[\w+=,.@-]{2,64}$/, "2 to 64 letters, digits or _+=,.@- are needed").optional(),
    external_id: text.optional(),
    identity: Identity.optional(),
    region: text.regex(/^[a-z0-9-]+$/, 'a region is needed, such as "eu-west-1"').optional(),
  })
  .refine(({ access_key_id: id, secret_access_key: key }) => (id === undefined) === (key === undefined), {
    message: "access_key_id and secret_access_key go together",
  })
  .refine(({ access_key_id: id, identity }) => (id === undefined) !== (identity === undefined), {
    message: "either access_key_id with secret_access_key, or identity with role_arn is needed",
  })
  .refine(({ identity, role_arn: role }) => identity === undefined || role !== undefined, {
    path: ["role_arn"],
    message: "is needed beside identity",
  });

const Google = z
  .strictObject({
    kind: z.literal("google"),
    service_account: ServiceAccount,
    audience: text.regex(/^\/\/iam\./, "the provider is needed, as //iam.googleapis.com/projects/…").optional(),
    identity: Identity.optional(),
    impersonate: text.regex(/^[^@/\s]+@[^@/\s]+$/, "the e-mail address of a service account is needed").optional(),
  })
  .refine(({ service_account: account, audience }) => (account === undefined) !== (audience === undefined), {
    message: "either service_account, or audience with identity is needed",
  })
  .refine(({ audience, identity }) => (audience === undefined) === (identity === undefined), {
    message: "audience and identity go together",
  });

const Acr = z
  .strictObject({
    kind: z.literal("acr"),
    tenant_id: text.regex(/^[\w.-]+$/, "the tenant's id or domain is needed"),
    client_id: text,
    client_secret: text.optional(),
    identity: Identity.optional(),
  })
  .refine(({ client_secret: secret, identity }) => (secret === undefined) !== (identity === undefined), {
    message: "either client_secret or identity is needed",
  });

const Cloudflare = z.strictObject({
  kind: z.literal("cloudflare"),
  account_id: text.regex(/^[0-9a-f]{32}$/, "the account's id of 32 hexadecimal digits is needed"),
  api_token: text,
  permissions: z.array(z.enum(["pull", "push"]), 'use ["pull"] or ["pull", "push"]').optional(),
});

const KINDS = { basic: Basic, ecr: Ecr, google: Google, acr: Acr, cloudflare: Cloudflare } as const;

const AnyEntry = z.looseObject(
  { kind: z.enum(Object.keys(KINDS), `use one of ${Object.keys(KINDS).join(", ")}`) },
  'an object such as { "kind": "basic", "username": "…", "password": "…" } is needed',
);

const Entries = z.record(z.string(), z.unknown(), "an object keyed by registry host is needed");

export type BasicCredential = z.output<typeof Basic>;
export type EcrCredential = z.output<typeof Ecr>;
export type GoogleCredential = z.output<typeof Google>;
export type AcrCredential = z.output<typeof Acr>;
export type CloudflareCredential = z.output<typeof Cloudflare>;
export type IdentityToken = z.output<typeof Identity>;

export type CloudCredential = EcrCredential | GoogleCredential | AcrCredential | CloudflareCredential;
export type RegistryCredential = BasicCredential | CloudCredential;

/** Cloudflare lets a secret have 5 KB, of which the key of one service account takes half: there may be several. */
const SECRET_NAME = /^REGISTRY_CREDENTIALS(?:_[A-Za-z0-9_]+)?$/;

/** The secrets that hold credentials, by name: REGISTRY_CREDENTIALS, and any whose name goes on with `_…`. */
export function credentialSecrets(env: object): [name: string, given: unknown][] {
  return Object.entries(env).filter(([name]) => SECRET_NAME.test(name));
}

/** Reads the secrets (JSON text or objects; any may be empty) into credentials by place. */
export function readCredentials(
  secrets: readonly (readonly [name: string, given: unknown])[],
): Reading<ReadonlyMap<string, RegistryCredential>> {
  const complaints: string[] = [];
  const byPlace = new Map<string, RegistryCredential>();
  for (const [name, given] of secrets) {
    const entries = isGiven(given) ? checked(Entries, name, parsed(given), complaints) : {};
    for (const [key, value] of Object.entries(entries ?? {})) {
      const field = `${name}.${JSON.stringify(key)}`;
      const place = placeOf(key);
      const entry = readEntry(field, value, complaints);
      const fault = placeFault(place, entry) ?? (byPlace.has(place) ? SECOND : null);
      if (fault !== null) {
        complaints.push(`${field}${fault}`);
      } else if (entry !== undefined) {
        byPlace.set(place, entry);
      }
    }
  }
  return { value: byPlace, complaints };
}

const SECOND = ": its registry is named a second time; keep one of the two";

function placeFault(place: string, entry: RegistryCredential | undefined): string | null {
  const [host = "", ...path] = place.split("/");
  if (parseHostName(host) === null || path.includes("")) {
    return ": not a registry; write it as host, host:port or host/repository";
  }
  const isNameless = entry?.kind === "ecr" && entry.region === undefined && parseEcrHost(host) === null;
  return isNameless ? ".region: is needed, since the host is not a name that Amazon gives" : null;
}

function readEntry(field: string, value: unknown, complaints: string[]): RegistryCredential | undefined {
  const any = checked(AnyEntry, field, value, complaints);
  const schema = Object.entries(KINDS).find(([kind]) => kind === any?.kind)?.[1];
  if (schema === undefined) {
    return undefined;
  }
  return checked<RegistryCredential>(schema, field, value, complaints, { known: Object.keys(schema.shape) });
}

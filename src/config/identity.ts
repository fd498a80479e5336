/**
 * What OIDC and ACCESS may hold: whose tokens are taken, and what each admits. Pure, as schema.ts; how tokens are checked
 * is the matter of src/access.
 */
import * as z from "zod";
import { canonicalScopes } from "../access/scopes.ts";
import type { IdentityRule, IssuerSettings } from "../access/contract.ts";
import { LimitFields, LimitSettings, ScopesSchema } from "../access/schema.ts";
import { urlRefusal } from "../registry/reach.ts";
import { checked, isGiven, parsed, type FieldHints, type Reading } from "./checking.ts";

/** Names of projects and workspaces are anybody's to choose, so they are not among these. */
const TERRAFORM_CLAIMS: readonly string[] = [
  "terraform_organization_name",
  "terraform_organization_id",
  "terraform_project_id",
  "terraform_workspace_id",
  "sub",
];

/**
 * Issuers whose tokens anybody can have, and the claims that say whose they are: a rule that names none of them would admit
 * the whole world.
 */
const SHARED_ISSUERS: Readonly<Record<string, readonly string[]>> = {
  "https://token.actions.githubusercontent.com": [
    "repository",
    "repository_id",
    "repository_owner",
    "repository_owner_id",
    "enterprise",
    "enterprise_id",
    "sub",
  ],
  "https://gitlab.com": ["project_path", "project_id", "namespace_path", "namespace_id", "sub"],
  "https://accounts.google.com": ["sub", "email", "hd"],
  "https://agent.buildkite.com": ["organization_slug", "organization_id", "pipeline_id", "sub"],
  "https://app.terraform.io": TERRAFORM_CLAIMS,
  "https://app.eu.terraform.io": TERRAFORM_CLAIMS,
};

/** Before its first `*` a pattern must have named somebody whole: who is called `acme-evil` begins like `acme`. */
const NAMED = /^[^/]+\//;
/** Subjects say first what they name, as in `repo:acme/app` and `organization:acme:…`; `@` is before GitHub's ids of names. */
const NAMED_IN_SUBJECT = /^[A-Za-z_]+:[^:/@]+[:/@]/;

const ClaimText = z.union([z.string(), z.number().transform(String), z.boolean().transform(String)], "text is needed");

const Claims = z
  .record(
    z.string(),
    z.union(
      [ClaimText.transform((text) => [text]), z.array(ClaimText).min(1)],
      'text is needed, or a list of texts, such as "acme/*"',
    ),
    'a table of claims is needed, such as { repository = "acme/app" }',
  )
  .refine((claims) => Object.keys(claims).length > 0, "names no claim, and would admit everybody; name at least one");

const RuleFields = {
  name: z.exactOptional(z.string("text is needed").min(1, "is empty")),
  claims: Claims,
  scopes: ScopesSchema,
  limits: LimitSettings.default({}),
};

const Rule = z.strictObject(RuleFields, "a table with claims and scopes is needed");

const Rules = z.array(Rule, "a list of rules is needed").min(1, "is empty, so that nobody would be admitted");

const Audience = z.union(
  [
    z
      .string()
      .min(1)
      .transform((text) => [text]),
    z.array(z.string().min(1)).min(1),
  ],
  'the audience that tokens are made for is needed, such as "https://drayage.example.com"',
);

const AddressText = z.string("a URL is needed").refine((text) => URL.canParse(text), "is not a URL");

const Oidc = z.array(
  z.strictObject(
    { issuer: AddressText, audience: Audience, jwks_uri: z.exactOptional(AddressText), rules: Rules },
    "a table with issuer, audience and rules is needed",
  ),
  "a list of issuers is needed",
);

const Access = z.strictObject(
  {
    team: z
      .string('the team\'s name is needed, such as "acme"')
      .transform((text) => text.toLowerCase().replace(/\.cloudflareaccess\.com$/, ""))
      .refine(
        (text) => /^[a-z0-9-]+$/.test(text),
        'is not a team\'s name, such as "acme" of acme.cloudflareaccess.com',
      ),
    audience: Audience,
    rules: Rules,
  },
  "a table with team, audience and rules is needed",
);

const HINTS = {
  within: {
    rules: Object.keys(RuleFields),
    scopes: Object.keys(ScopesSchema.shape),
    limits: Object.keys(LimitFields),
  },
  elsewhere: { sub: "claims go into the table claims of a rule", aud: "it is called audience here" },
};

const OIDC_HINTS: FieldHints = { known: ["issuer", "audience", "jwks_uri", "rules"], ...HINTS };

const ACCESS_HINTS: FieldHints = { known: ["team", "audience", "rules"], ...HINTS };

/** Reads OIDC (a list) and ACCESS (a table), or the same as JSON text; either may be missing or empty. */
export function readIdentity(oidc: unknown, access: unknown, local: boolean): Reading<readonly IssuerSettings[]> {
  const complaints: string[] = [];
  const issuers: IssuerSettings[] = [];
  const listed = isGiven(oidc) ? (checked(Oidc, "OIDC", parsed(oidc), complaints, OIDC_HINTS) ?? []) : [];
  for (const [index, { issuer, audience, jwks_uri: jwksUri, rules }] of listed.entries()) {
    const field = `OIDC[${index}]`;
    complaints.push(...addressFaults(`${field}.issuer`, issuer, local));
    complaints.push(...(jwksUri === undefined ? [] : addressFaults(`${field}.jwks_uri`, jwksUri, local)));
    complaints.push(...rules.flatMap((rule, place) => openRule(`${field}.rules[${place}]`, issuer, rule.claims)));
    if (issuers.some((other) => other.issuer === issuer)) {
      complaints.push(`${field}.issuer: names ${issuer} a second time; put its rules together`);
    }
    issuers.push({ kind: "oidc", issuer, audiences: audience, jwksUri: jwksUri ?? null, rules: rules.map(ruleOf) });
  }
  const team = isGiven(access) ? checked(Access, "ACCESS", parsed(access), complaints, ACCESS_HINTS) : undefined;
  if (team !== undefined) {
    const issuer = `https://${team.team}.cloudflareaccess.com`;
    issuers.push({
      kind: "access",
      issuer,
      audiences: team.audience,
      // Access has no discovery document for applications; this is where its keys are.
      jwksUri: `${issuer}/cdn-cgi/access/certs`,
      rules: team.rules.map(ruleOf),
    });
  }
  return { value: issuers, complaints };
}

function ruleOf({ name, claims, scopes, limits }: z.output<typeof Rule>, index: number): IdentityRule {
  return { name: name ?? String(index + 1), claims, scopes: canonicalScopes(scopes), limits };
}

/** The rule for every outgoing request: https and public names, unless the service runs on its user's own machine. */
function addressFaults(field: string, text: string, local: boolean): string[] {
  const url = new URL(text);
  const refusal = urlRefusal(url, { local, named: [url.host], plain: [] });
  const extra = url.search !== "" || url.hash !== "" ? "has a query or a fragment, which it must not have" : null;
  const fault = refusal ?? extra;
  return fault === null ? [] : [`${field}: ${fault}`];
}

/**
 * The claims that say whose a token is, of an issuer whose tokens anybody can have; null: of another one.
 * @param issuer As `iss` has it; Google's also comes without its scheme.
 */
export function claimsThatTell(issuer: string): readonly string[] | null {
  const address = (/^https?:\/\//.test(issuer) ? issuer : `https://${issuer}`).replace(/\/$/, "");
  return SHARED_ISSUERS[address] ?? null;
}

function openRule(field: string, issuer: string, claims: Readonly<Record<string, readonly string[]>>): string[] {
  const telling = claimsThatTell(issuer);
  if (telling === null) {
    return [];
  }
  const isTelling = telling.some((name) => claims[name]?.every((pattern) => namesSomebody(name, pattern)));
  return isTelling
    ? []
    : [
        `${field}.claims: anybody can have a token of ${issuer}; name whose are meant by one of ${telling.join(", ")}, ` +
          "with * no sooner than behind the whole name, as in acme/*",
      ];
}

function namesSomebody(claim: string, pattern: string): boolean {
  const [beginning = ""] = pattern.split("*", 1);
  return beginning === pattern || (claim === "sub" ? NAMED_IN_SUBJECT : NAMED).test(beginning);
}

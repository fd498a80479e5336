import { describe, expect, test } from "vitest";
import { readIdentity } from "../../src/config/identity.ts";

const scopes = { sources: ["index.docker.io/alpine"], targets: ["GHCR.io/acme/**"], actions: ["copy"] };
const rule = { claims: { repository: "acme/app" }, scopes };
const github = { issuer: "https://token.actions.githubusercontent.com", audience: "drayage", rules: [rule] };

function complaints(oidc: unknown, access?: unknown, local = false): string[] {
  return readIdentity(oidc, access, local).complaints;
}

describe("OIDC", () => {
  test.each([undefined, null, "", [], "[]"])("%j admits nobody", (given) => {
    expect(readIdentity(given, undefined, false)).toEqual({ value: [], complaints: [] });
  });

  test.each([{ given: [github] }, { given: JSON.stringify([github]) }])(
    "is read from a list and from text alike",
    ({ given }) => {
      expect(readIdentity(given, undefined, false)).toEqual({
        complaints: [],
        value: [
          {
            kind: "oidc",
            issuer: "https://token.actions.githubusercontent.com",
            audiences: ["drayage"],
            jwksUri: null,
            rules: [
              {
                name: "1",
                claims: { repository: ["acme/app"] },
                scopes: { sources: ["docker.io/library/alpine"], targets: ["ghcr.io/acme/**"], actions: ["copy"] },
                limits: {},
              },
            ],
          },
        ],
      });
    },
  );

  test("claims are texts, numbers, truths, or lists of them; limits and names are kept", () => {
    const claims = { repository_id: 42, email_verified: true, ref: ["refs/heads/main", "refs/tags/*"] };
    const limits = { copies_at_once: 2, copies_per_hour: 30 };
    const { value } = readIdentity([{ ...github, rules: [{ name: "x", claims, scopes, limits }] }], undefined, false);
    expect(value[0]?.rules[0]).toMatchObject({
      name: "x",
      claims: { repository_id: ["42"], email_verified: ["true"], ref: ["refs/heads/main", "refs/tags/*"] },
      limits: { copiesAtOnce: 2, copiesPerHour: 30 },
    });
  });

  test.each<[string, unknown, RegExp]>([
    ["no list", github, /^OIDC: a list of issuers is needed/],
    ["no JSON", "[", /^OIDC: is not JSON/],
    ["no audience", [{ issuer: github.issuer, rules: [rule] }], /^OIDC\[0\]\.audience: /],
    ["an empty audience", [{ ...github, audience: [] }], /^OIDC\[0\]\.audience: /],
    ["no rules", [{ ...github, rules: [] }], /^OIDC\[0\]\.rules: is empty/],
    ["an unknown field", [{ ...github, audiance: "x" }], /^OIDC\[0\]\.audiance: unknown field; did you mean audience/],
    [
      "an unknown field of a rule",
      [{ ...github, rules: [{ ...rule, colour: "x" }] }],
      /^OIDC\[0\]\.rules\[0\]\.colour: unknown field; the fields are name, claims, scopes, limits$/,
    ],
    [
      "an unknown field of its scopes",
      [{ ...github, rules: [{ ...rule, scopes: { ...scopes, from: [] } }] }],
      /\.scopes\.from: unknown field; the fields are sources, targets, actions$/,
    ],
    [
      "an action that is misspelt",
      [{ ...github, rules: [{ ...rule, scopes: { ...scopes, action: ["copy"] } }] }],
      /\.scopes\.action: unknown field; did you mean actions\?$/,
    ],
    [
      "an unknown field of its limits",
      [{ ...github, rules: [{ ...rule, limits: { perMinute: 1 } }] }],
      /\.limits\.perMinute: unknown field; the fields are copies_at_once, copies_per_hour$/,
    ],
    ["no claims", [{ ...github, rules: [{ ...rule, claims: {} }] }], /rules\[0\]\.claims: names no claim/],
    [
      "a pattern",
      [{ ...github, rules: [{ ...rule, scopes: { ...scopes, sources: ["x"] } }] }],
      /sources\[0\]: "x" must name/,
    ],
    [
      "an action",
      [{ ...github, rules: [{ ...rule, scopes: { ...scopes, actions: ["push"] } }] }],
      /actions\[0\]: must be one of/,
    ],
    [
      "a limit",
      [{ ...github, rules: [{ ...rule, limits: { copies_at_once: 0 } }] }],
      /copies_at_once: must be a whole/,
    ],
    ["the same issuer twice", [github, github], /^OIDC\[1\]\.issuer: names .* a second time/],
    ["plain HTTP", [{ ...github, issuer: "http://issuer.example" }], /^OIDC\[0\]\.issuer: is plain HTTP/],
    ["a private name", [{ ...github, issuer: "https://issuer.internal" }], /\.internal/],
    ["an address", [{ ...github, issuer: "https://169.254.169.254" }], /IP address/],
    ["this machine", [{ ...github, jwks_uri: "https://localhost/keys" }], /^OIDC\[0\]\.jwks_uri: is this machine/],
    ["a password", [{ ...github, issuer: "https://u:p@issuer.example" }], /user information/],
    ["a query", [{ ...github, jwks_uri: "https://issuer.example/?a=b" }], /query/],
    ["no URL", [{ ...github, issuer: "github" }], /^OIDC\[0\]\.issuer: is not a URL/],
    [
      "the whole world",
      [{ ...github, rules: [{ ...rule, claims: { ref: "refs/heads/main" } }] }],
      /anybody can have a token/,
    ],
    [
      "the whole world by *",
      [{ ...github, rules: [{ ...rule, claims: { repository: "*/app" } }] }],
      /anybody can have a token/,
    ],
    [
      "the whole world by a subject that says only what it is",
      [{ ...github, rules: [{ ...rule, claims: { sub: "repo:**" } }] }],
      /anybody can have a token/,
    ],
    [
      "the whole world by a subject that does not even say what it is",
      [{ ...github, rules: [{ ...rule, claims: { sub: "repo**" } }] }],
      /anybody can have a token/,
    ],
    [
      "everybody whose name begins alike",
      [{ ...github, rules: [{ ...rule, claims: { repository: "acme*/app" } }] }],
      /anybody can have a token/,
    ],
    [
      "every owner whose name begins alike",
      [{ ...github, rules: [{ ...rule, claims: { repository_owner: "acme*" } }] }],
      /anybody can have a token/,
    ],
    [
      "every subject whose owner begins alike",
      [{ ...github, rules: [{ ...rule, claims: { sub: "repo:acme*/app:**" } }] }],
      /anybody can have a token/,
    ],
    [
      "one name at every host of mail",
      [{ ...github, issuer: "https://accounts.google.com", rules: [{ ...rule, claims: { email: "ops@*" } }] }],
      /anybody can have a token/,
    ],
    [
      "the whole world besides",
      [{ ...github, rules: [{ ...rule, claims: { repository: ["acme/app", "*/x"] } }] }],
      /anybody/,
    ],
  ])("%s is complained of, and where", (_, given, words) => {
    expect(complaints(given).join("\n")).toMatch(words);
  });

  test.each([
    { sub: "repo:acme/**" },
    { sub: "repo:acme@*/app@*:ref:refs/heads/main" },
    { repository: "acme/*" },
    { repository: ["acme/app", "acme/web-*"] },
    { ref: "refs/tags/*", repository_owner_id: 7 },
  ])("whoever is named whole may have wildcards behind the name: %j", (claims) => {
    expect(complaints([{ ...github, rules: [{ ...rule, claims }] }])).toEqual([]);
  });

  describe.each<[string, string, object[], object[]]>([
    [
      "Buildkite",
      "https://agent.buildkite.com",
      [
        { organization_slug: "acme" },
        { organization_id: "0184990a-477b-4fa8-9968-496074483cee" },
        { pipeline_id: "0184990a-4782-42b5-afc1-16715b10b8ff" },
        { sub: "organization:acme:pipeline:app:**" },
      ],
      [{ pipeline_slug: "app" }, { build_branch: "main" }, { sub: "organization:*:pipeline:app:**" }],
    ],
    [
      "HCP Terraform",
      "https://app.terraform.io",
      [
        { terraform_organization_name: "acme" },
        { terraform_organization_id: "org-GRNbCjYNpBB6NEBx" },
        { terraform_project_id: "prj-vegSA59s1XPwMr2t" },
        { terraform_workspace_id: "ws-mbsd5E3Ktt5Rg2Xm" },
        { sub: "organization:acme:project:*:workspace:app:run_phase:apply" },
      ],
      [{ terraform_workspace_name: "app" }, { terraform_project_name: "prod" }, { sub: "organization:**" }],
    ],
    [
      "HCP Terraform in Europe",
      "https://app.eu.terraform.io",
      [{ terraform_organization_name: "acme" }],
      [{ ref: "x" }],
    ],
  ])("tokens of %s, which anybody can have,", (_, issuer, telling, open) => {
    test.each(telling)("are told by %j", (claims) => {
      expect(complaints([{ ...github, issuer, rules: [{ ...rule, claims }] }])).toEqual([]);
    });

    test.each(open)("are not told by %j", (claims) => {
      expect(complaints([{ ...github, issuer, rules: [{ ...rule, claims }] }]).join()).toMatch(
        /anybody can have a token/,
      );
    });
  });

  test("the user's own machine may have an issuer of its own", () => {
    const own = [{ ...github, issuer: "http://127.0.0.1:9000" }];
    expect(complaints(own, undefined, true)).toEqual([]);
    expect(complaints(own)).not.toEqual([]);
  });
});

describe("ACCESS", () => {
  const access = { team: "acme", audience: "f".repeat(64), rules: [{ claims: { email: "*@acme.com" }, scopes }] };

  test.each(["acme", "ACME.cloudflareaccess.com"])("a team is its name: %s", (team) => {
    expect(readIdentity(undefined, { ...access, team }, false)).toMatchObject({
      complaints: [],
      value: [
        {
          kind: "access",
          issuer: "https://acme.cloudflareaccess.com",
          audiences: ["f".repeat(64)],
          jwksUri: "https://acme.cloudflareaccess.com/cdn-cgi/access/certs",
        },
      ],
    });
  });

  test.each<[string, unknown, RegExp]>([
    ["a list", [access], /^ACCESS: a table/],
    ["a team that is none", { ...access, team: "evil.com/x" }, /^ACCESS\.team: is not a team/],
    ["no audience", { team: "acme", rules: access.rules }, /^ACCESS\.audience/],
    ["an issuer", { ...access, issuer: "x" }, /^ACCESS\.issuer: unknown field; the fields are team, audience, rules$/],
  ])("%s is complained of", (_, given, words) => {
    expect(complaints(undefined, given).join("\n")).toMatch(words);
  });
});

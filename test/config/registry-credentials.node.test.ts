import { describe, expect, it } from "vitest";
import { credentialSecrets, readCredentials as readSecrets } from "../../src/config/registry-credentials.ts";

const readCredentials = (given: unknown) => readSecrets([["REGISTRY_CREDENTIALS", given]]);

const PEM = "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n";
const ECR = "111122223333.dkr.ecr.eu-west-1.amazonaws.com";
const BASIC = { kind: "basic", username: "me", password: "hunter2" };
const KEYS = { kind: "ecr", access_key_id: "hunter2-id", secret_access_key: "hunter2" };
const ACR = { kind: "acr", tenant_id: "t", client_id: "c", client_secret: "hunter2" };
const ACCOUNT = { client_email: "a@b.example", private_key: PEM, type: "service_account", project_id: "p" };
const SELF = { issuer: "https://i.example", subject: "s", audience: "a", private_key: PEM };
const PROVIDER = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q";
const CLOUDFLARE = { kind: "cloudflare", account_id: "0123456789abcdef0123456789abcdef", api_token: "hunter2" };

describe("REGISTRY_CREDENTIALS", () => {
  it.each<[string, string, unknown, string]>([
    ["a user's password", "ghcr.io", BASIC, "ghcr.io"],
    ["one for a repository", "https://quay.io/team/app/", BASIC, "quay.io/team/app"],
    ["Docker Hub under any name", "https://index.docker.io/v1/", BASIC, "docker.io"],
    ["keys of AWS", ECR, KEYS, ECR],
    [
      "keys of AWS for a name of one's own",
      "images.example.com",
      { ...KEYS, region: "eu-west-1" },
      "images.example.com",
    ],
    ["a role of AWS", ECR, { ...KEYS, role_arn: "arn:aws-cn:iam::111122223333:role/x/y" }, ECR],
    ["an identity for a role", ECR, { kind: "ecr", role_arn: "arn:aws:iam::111122223333:role/x", identity: SELF }, ECR],
    ["a service account", "gcr.io", { kind: "google", service_account: ACCOUNT }, "gcr.io"],
    ["a service account as text", "gcr.io", { kind: "google", service_account: JSON.stringify(ACCOUNT) }, "gcr.io"],
    [
      "an identity for Google",
      "us-docker.pkg.dev/p",
      { kind: "google", audience: PROVIDER, identity: { url: "https://i.example/t", field: "value" } },
      "us-docker.pkg.dev/p",
    ],
    ["a service principal", "team.azurecr.io", ACR, "team.azurecr.io"],
    ["a token of Cloudflare's", "registry.cloudflare.com", CLOUDFLARE, "registry.cloudflare.com"],
  ])("holds %s", (_what, key, entry, place) => {
    for (const given of [{ [key]: entry }, JSON.stringify({ [key]: entry })]) {
      const { value, complaints } = readCredentials(given);
      expect(complaints).toEqual([]);
      expect([...value.keys()]).toEqual([place]);
    }
  });

  it("takes a key whose line breaks were written as letters", () => {
    const entry = { kind: "google", service_account: { ...ACCOUNT, private_key: PEM.replaceAll("\n", "\\n") } };
    expect(readCredentials({ "gcr.io": entry }).value.get("gcr.io")).toMatchObject({
      service_account: { private_key: PEM },
    });
  });

  it("may be several secrets, since one has little room", () => {
    const env = {
      REGISTRY_CREDENTIALS: { "ghcr.io": BASIC },
      REGISTRY_CREDENTIALS_CLOUDS: JSON.stringify({ "gcr.io": { kind: "google", service_account: ACCOUNT } }),
      REGISTRY_CREDENTIALS_AGAIN: { "ghcr.io": BASIC, "quay.io": { ...BASIC, password: 5 } },
      REGISTRY_CREDENTIALSX: "other",
      HOSTS: {},
    };
    const { value, complaints } = readSecrets(credentialSecrets(env));
    expect([...value.keys()]).toEqual(["ghcr.io", "gcr.io"]);
    expect(complaints).toEqual([
      'REGISTRY_CREDENTIALS_AGAIN."ghcr.io": its registry is named a second time; keep one of the two',
      'REGISTRY_CREDENTIALS_AGAIN."quay.io".password: text is needed',
    ]);
  });

  it.each([undefined, null, "", "{}"])("may be %j", (given) => {
    expect(readCredentials(given)).toEqual({ value: new Map(), complaints: [] });
  });

  it.each<[unknown, string]>([
    ['{"ghcr.io": {"password": "hunter2', "REGISTRY_CREDENTIALS: is not JSON"],
    [["hunter2"], "REGISTRY_CREDENTIALS: an object keyed by registry host is needed"],
    [{ "ghcr.io": "hunter2" }, 'REGISTRY_CREDENTIALS."ghcr.io": an object such as'],
    [{ "ghcr.io": { ...BASIC, kind: "hunter2" } }, '."ghcr.io".kind: use one of basic, ecr, google, acr, cloudflare'],
    [{ "ghcr.io": { kind: "basic", username: "hunter2" } }, '."ghcr.io".password: text is needed'],
    [{ "ghcr.io": { ...BASIC, password: "" } }, '."ghcr.io".password: must not be empty'],
    [{ "ghcr.io": { ...BASIC, usernam: "hunter2" } }, '."ghcr.io".usernam: unknown field; did you mean username?'],
    [{ "ghcr io": BASIC }, '"ghcr io": not a registry'],
    [{ "ghcr.io//x": BASIC }, '"ghcr.io//x": not a registry'],
    [{ "docker.io": BASIC, "index.docker.io": BASIC }, '"index.docker.io": its registry is named a second time'],
    [{ "images.example.com": KEYS }, '"images.example.com".region: is needed'],
    [{ [ECR]: { kind: "ecr", access_key_id: "hunter2" } }, "access_key_id and secret_access_key go together"],
    [{ [ECR]: { kind: "ecr" } }, "either access_key_id with secret_access_key, or identity with role_arn"],
    [{ [ECR]: { kind: "ecr", identity: SELF } }, ".role_arn: is needed beside identity"],
    [{ [ECR]: { ...KEYS, role_arn: "hunter2" } }, ".role_arn: the ARN of a role is needed"],
    [{ [ECR]: { kind: "ecr", role_arn: "x", identity: { jwt: "hunter2" } } }, ".identity: use { token }"],
    [{ "gcr.io": { kind: "google" } }, "either service_account, or audience with identity is needed"],
    [{ "gcr.io": { kind: "google", service_account: "{hunter2" } }, ".service_account: the key file"],
    [
      { "gcr.io": { kind: "google", service_account: { ...ACCOUNT, private_key: "hunter2" } } },
      ".service_account.private_key: a private key in PKCS #8 is needed",
    ],
    [
      { "gcr.io": { kind: "google", service_account: { ...ACCOUNT, token_uri: "http://x.example/hunter2" } } },
      ".service_account.token_uri: an address that begins with https://",
    ],
    [{ "a.azurecr.io": { ...ACR, client_secret: undefined } }, "either client_secret or identity is needed"],
    [{ "a.azurecr.io": { ...ACR, tenant_id: "a/../hunter2" } }, ".tenant_id: the tenant's id or domain is needed"],
    [{ "registry.cloudflare.com": { ...CLOUDFLARE, account_id: "hunter2" } }, ".account_id: the account's id of 32"],
    [
      { "registry.cloudflare.com": { ...CLOUDFLARE, permissions: ["hunter2"] } },
      '.permissions[0]: Invalid option: expected one of "pull"|"push"',
    ],
  ])("%j is refused by the name of the field, without its content", (given, expected) => {
    const { complaints } = readCredentials(given);
    expect(complaints.join("\n")).toContain(expected);
    expect(complaints.join("\n")).not.toContain("hunter2");
  });
});

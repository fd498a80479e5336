/** Which of the secrets answers for a repository, in the Worker's own runtime, where clouds' tokens are signed as well. */
import { exportPKCS8, generateKeyPair, jwtVerify } from "jose";
import { describe, expect, test } from "vitest";
import { keychainOf, type KeychainEnv } from "../../src/host/keychain.ts";
import type { CredentialLookup } from "../../src/registry/credentials.ts";
import { errorDetailOf } from "../../src/registry/errors.ts";
import { createWire, type Fetch } from "../../src/registry/wire.ts";

const unasked: Fetch = () => Promise.reject(new Error("no cloud is to be asked"));

function keychain(env: KeychainEnv, fetch: Fetch = unasked, host = "gcr.io"): CredentialLookup {
  const common = { host, side: "target" as const, now: () => Date.now() };
  return keychainOf(env, { ...common, wire: createWire({ ...common, fetch, refusalOf: () => null, log: () => {} }) });
}

const basic = (username: string) => ({ kind: "basic" as const, username, password: "p" });

describe("the credentials for a repository", () => {
  const env: KeychainEnv = {
    DOCKER_CONFIG: JSON.stringify({
      auths: {
        "ghcr.io": { username: "docker", password: "p" },
        "ghcr.io/team/app": { username: "docker-app", password: "p" },
        "quay.io": { username: "docker-quay", password: "p" },
      },
    }),
    REGISTRY_CREDENTIALS: JSON.stringify({ "ghcr.io": basic("own"), "ghcr.io/team": basic("own-team") }),
  };

  test.each<[string, string | null, string | null]>([
    ["ghcr.io", null, "own"],
    ["ghcr.io", "other/app", "own"],
    ["ghcr.io", "team/lib", "own-team"],
    ["ghcr.io", "team/app", "docker-app"],
    ["ghcr.io", "team/app/sub", "docker-app"],
    ["ghcr.io", "teamwork/app", "own"],
    ["quay.io", "team/app", "docker-quay"],
    ["gcr.io", "team/app", null],
  ])("%s/%s are those of %s", async (host, repository, username) => {
    expect(await keychain(env)(host, repository)).toEqual(username === null ? null : basic(username));
  });

  test.each<[KeychainEnv, string]>([
    [{ DOCKER_CONFIG: "{hunter2" }, "DOCKER_CONFIG"],
    [{ REGISTRY_CREDENTIALS: "{hunter2" }, "REGISTRY_CREDENTIALS: is not JSON"],
    [
      { REGISTRY_CREDENTIALS: { "ghcr.io": { ...basic("hunter2"), password: 5 } } },
      '."ghcr.io".password: text is needed',
    ],
  ])("cannot be read from %j, and the error names the field", (wrong, expected) => {
    let thrown: unknown;
    try {
      keychain(wrong);
    } catch (error) {
      thrown = error;
    }
    expect(errorDetailOf(thrown)).toMatchObject({ code: "configuration", message: expect.stringContaining(expected) });
    expect(errorDetailOf(thrown).message).not.toContain("hunter2");
  });

  test("cannot be had from a service that answers with something that is no JSON, of which nothing is repeated", async () => {
    const service = { fetch: async () => new Response("password: hunter2"), connect: () => expect.unreachable() };
    const thrown: unknown = await Promise.resolve(keychain({ CREDENTIALS: service })("quay.io", "a")).catch(
      (error: unknown) => error,
    );
    expect(errorDetailOf(thrown)).toMatchObject({ code: "configuration", host: "quay.io" });
    expect(errorDetailOf(thrown).message).toBe("The credentials for quay.io could not be read.");
  });

  test("of a cloud are asked for once, with an assertion signed here", async () => {
    const { publicKey, privateKey } = await generateKeyPair("RS256", { extractable: true });
    const account = { client_email: "a@b.example", private_key: await exportPKCS8(privateKey) };
    let asked = 0;
    const lookup = keychain(
      { REGISTRY_CREDENTIALS: { "gcr.io": { kind: "google", service_account: account } } },
      async (url, init) => {
        asked++;
        expect(url).toBe("https://oauth2.googleapis.com/token");
        const assertion = new URLSearchParams(typeof init.body === "string" ? init.body : "").get("assertion") ?? "";
        await jwtVerify(assertion, publicKey, { issuer: "a@b.example", audience: url });
        return Response.json({ access_token: "ya29", expires_in: 3600 });
      },
    );
    const all = await Promise.all(["p/a", "p/b", null].map(async (repository) => lookup("gcr.io", repository)));
    expect(new Set(all).size).toBe(1);
    expect(all[0]).toMatchObject({ kind: "basic", username: "oauth2accesstoken", password: "ya29" });
    expect(asked).toBe(1);
  });
});

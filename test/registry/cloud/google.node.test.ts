import { decodeProtectedHeader, exportPKCS8, generateKeyPair, jwtVerify, type GenerateKeyPairResult } from "jose";
import { beforeAll, describe, expect, it } from "vitest";
import { obtainGoogle } from "../../../src/registry/cloud/google.ts";
import { json, refusal } from "../support.ts";
import { formOf, NOW_MS, startCloud } from "./stand-in.ts";

const HOST = "europe-docker.pkg.dev";
const EMAIL = "mirror@project.iam.gserviceaccount.com";
const SCOPE = "https://www.googleapis.com/auth/cloud-platform";
const PROVIDER = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/drayage";

describe("Google", () => {
  let pair: GenerateKeyPairResult;
  let pem: string;
  beforeAll(async () => {
    pair = await generateKeyPair("RS256", { extractable: true });
    pem = await exportPKCS8(pair.privateKey);
  });
  const account = () => ({ client_email: EMAIL, private_key: pem, private_key_id: "key-1" });

  it("gives an access token for an assertion that the service account's key has signed", async () => {
    await using cloud = await startCloud(HOST, async (asked, response) => {
      expect([asked.host, asked.path]).toEqual(["oauth2.googleapis.com", "/token"]);
      const { grant_type: grant, assertion = "" } = formOf(asked);
      expect(grant).toBe("urn:ietf:params:oauth:grant-type:jwt-bearer");
      const { payload } = await jwtVerify(assertion, pair.publicKey, {
        issuer: EMAIL,
        audience: "https://oauth2.googleapis.com/token",
        currentDate: new Date(NOW_MS),
        maxTokenAge: "1h",
      });
      expect(payload).toMatchObject({ scope: SCOPE, exp: NOW_MS / 1000 + 3600 });
      expect(decodeProtectedHeader(assertion)).toEqual({ alg: "RS256", typ: "JWT", kid: "key-1" });
      json(response, 200, { access_token: "ya29.token", expires_in: 3599, token_type: "Bearer" });
    });
    const given = await obtainGoogle(cloud.options, { kind: "google", service_account: account() });
    expect(given).toEqual({
      kind: "basic",
      username: "oauth2accesstoken",
      password: "ya29.token",
      expiresAtMs: NOW_MS + 3_599_000,
    });
  });

  it("exchanges a token of another issuer, and lets it act as a service account", async () => {
    await using cloud = await startCloud(HOST, async (asked, response) => {
      if (asked.host === "sts.googleapis.com") {
        expect(asked.path).toBe("/v1/token");
        const { subject_token: subject = "", ...form } = formOf(asked);
        expect(form).toEqual({
          grant_type: "urn:ietf:params:oauth:grant-type:token-exchange",
          audience: PROVIDER,
          scope: SCOPE,
          requested_token_type: "urn:ietf:params:oauth:token-type:access_token",
          subject_token_type: "urn:ietf:params:oauth:token-type:jwt",
        });
        await jwtVerify(subject, pair.publicKey, {
          issuer: "https://drayage.example.com",
          subject: "drayage",
          audience: "google",
          currentDate: new Date(NOW_MS),
          maxTokenAge: "10m",
        });
        json(response, 200, { access_token: "federated", expires_in: 3600, token_type: "Bearer" });
        return;
      }
      expect(asked.host).toBe("iamcredentials.googleapis.com");
      expect(decodeURIComponent(asked.path)).toBe(`/v1/projects/-/serviceAccounts/${EMAIL}:generateAccessToken`);
      expect(asked.headers.authorization).toBe("Bearer federated");
      expect(JSON.parse(asked.body)).toEqual({ scope: [SCOPE], lifetime: "3600s" });
      json(response, 200, { accessToken: "impersonated", expireTime: "2026-03-01T13:00:00Z" });
    });
    const identity = {
      issuer: "https://drayage.example.com",
      subject: "drayage",
      audience: "google",
      private_key: pem,
      key_id: "1",
    };
    const entry = { kind: "google", audience: PROVIDER, identity, impersonate: EMAIL } as const;
    expect(await obtainGoogle(cloud.options, entry)).toMatchObject({
      username: "oauth2accesstoken",
      password: "impersonated",
      expiresAtMs: NOW_MS + 3_600_000,
    });
  });

  it("takes an identity from the address that gives it out", async () => {
    await using cloud = await startCloud(HOST, (asked, response) => {
      if (asked.host === "issuer.example.com") {
        expect(asked.headers["x-proof"]).toBe("a-proof");
        json(response, 200, { value: "head.body.signature" });
      } else {
        expect(formOf(asked)["subject_token"]).toBe("head.body.signature");
        json(response, 200, { access_token: "federated" });
      }
    });
    const identity = { url: "https://issuer.example.com/token?for=google", headers: { "x-proof": "a-proof" } };
    const entry = { kind: "google", audience: PROVIDER } as const;
    const given = await obtainGoogle(cloud.options, { ...entry, identity: { ...identity, field: "value" } });
    expect(given).toMatchObject({ password: "federated", expiresAtMs: NOW_MS + 3_600_000 });
    const wrong = await refusal(obtainGoogle(cloud.options, { ...entry, identity: { ...identity, field: "token" } }));
    expect(wrong).toMatchObject({ code: "unauthorized", retryable: false });
    expect(wrong.message).toContain("without a token in its field token");
  });

  it("refuses, and the error has its words and no secret", async () => {
    await using cloud = await startCloud(HOST, (asked, response) => {
      const { assertion = "" } = formOf(asked);
      json(response, 400, { error: "invalid_grant", error_description: `Invalid JWT Signature: ${assertion}` });
    });
    const detail = await refusal(obtainGoogle(cloud.options, { kind: "google", service_account: account() }));
    expect(detail).toMatchObject({ code: "unauthorized", status: 400, host: HOST });
    expect(detail.message).toContain("Invalid JWT Signature: [secret]");
    expect(detail.message).toContain(`check the entry for ${HOST}`);
  });

  it("is not asked with a key that cannot be read, and the error does not quote it", async () => {
    await using cloud = await startCloud(HOST, (_asked, response) => response.end());
    const key = "-----BEGIN PRIVATE KEY-----\nbm90IGEga2V5\n-----END PRIVATE KEY-----";
    const entry = { kind: "google", service_account: { ...account(), private_key: key } } as const;
    const detail = await refusal(obtainGoogle(cloud.options, entry));
    expect(detail).toMatchObject({ code: "configuration", retryable: false });
    expect(detail.message).not.toContain("bm90");
    expect(cloud.asked).toEqual([]);
  });
});

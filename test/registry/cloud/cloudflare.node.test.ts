import { describe, expect, it } from "vitest";
import { obtainCloudflare } from "../../../src/registry/cloud/cloudflare.ts";
import { json, refusal } from "../support.ts";
import { NOW_MS, startCloud } from "./stand-in.ts";

const HOST = "registry.cloudflare.com";
const ACCOUNT = "0123456789abcdef0123456789abcdef";
const ENTRY = { kind: "cloudflare", account_id: ACCOUNT, api_token: "an-api-token" } as const;

describe("Cloudflare's registry", () => {
  it("gives a password for an hour", async () => {
    await using cloud = await startCloud(HOST, (asked, response) => {
      expect(asked.host).toBe("api.cloudflare.com");
      expect(asked.path).toBe(`/client/v4/accounts/${ACCOUNT}/containers/registries/${HOST}/credentials`);
      expect(asked.headers).toMatchObject({ authorization: "Bearer an-api-token", "content-type": "application/json" });
      expect(JSON.parse(asked.body)).toEqual({ expiration_minutes: 60, permissions: ["pull"] });
      const result = { account_id: ACCOUNT, registry_host: HOST, username: "v1", password: "a.registry.jwt" };
      json(response, 200, { success: true, errors: [], result });
    });
    expect(await obtainCloudflare(cloud.options, { ...ENTRY, permissions: ["pull"] })).toEqual({
      kind: "basic",
      username: "v1",
      password: "a.registry.jwt",
      expiresAtMs: NOW_MS + 3_600_000,
    });
  });

  it.each([
    [403, { success: false, errors: [{ code: 10000, message: "Authentication error" }] }, "Authentication error"],
    [200, { success: true, result: null }, "without what it was asked for"],
  ])("answers %i %j, and the error tells it", async (status, body, words) => {
    await using cloud = await startCloud(HOST, (_asked, response) => json(response, status, body));
    const detail = await refusal(obtainCloudflare(cloud.options, ENTRY));
    expect(detail).toMatchObject({ code: "unauthorized", retryable: false, host: HOST });
    expect(detail.message).toContain(words);
    expect(detail.message).not.toContain("an-api-token");
  });
});

import { SignJWT } from "jose";
import { describe, expect, it } from "vitest";
import { obtainAcr } from "../../../src/registry/cloud/acr.ts";
import { TokenSource } from "../../../src/registry/token.ts";
import { settingsFor } from "../settings.ts";
import { json, refusal } from "../support.ts";
import { formOf, NOW_MS, startCloud } from "./stand-in.ts";

const HOST = "team.azurecr.io";
const TENANT = "11111111-2222-3333-4444-555555555555";
const CLIENT = "66666666-7777-8888-9999-000000000000";
const ENTRY = { kind: "acr", tenant_id: TENANT, client_id: CLIENT, client_secret: "a~client.secret" } as const;
const USER = "00000000-0000-0000-0000-000000000000";

/** A refresh token as the registry makes them: a JWT with its time. */
function refreshToken(lifeSeconds: number): Promise<string> {
  return new SignJWT({ grant_type: "refresh_token" })
    .setProtectedHeader({ alg: "HS256" })
    .setExpirationTime(NOW_MS / 1000 + lifeSeconds)
    .sign(new Uint8Array(32));
}

describe("ACR", () => {
  it("exchanges the token of a service principal for one of its own, and gives tokens for that", async () => {
    const refresh = await refreshToken(10_800);
    await using cloud = await startCloud(HOST, (asked, response) => {
      if (asked.host === "login.microsoftonline.com") {
        expect(asked.path).toBe(`/${TENANT}/oauth2/v2.0/token`);
        expect(formOf(asked)).toEqual({
          grant_type: "client_credentials",
          client_id: CLIENT,
          client_secret: "a~client.secret",
          scope: "https://containerregistry.azure.net/.default",
        });
        json(response, 200, { access_token: "entra-token", expires_in: 3599, token_type: "Bearer" });
        return;
      }
      expect(asked.host).toBe(HOST);
      const form = formOf(asked);
      if (asked.path === "/oauth2/exchange") {
        expect(form).toEqual({
          grant_type: "access_token",
          service: HOST,
          tenant: TENANT,
          access_token: "entra-token",
        });
        json(response, 200, { refresh_token: refresh });
        return;
      }
      expect(asked.path).toBe("/oauth2/token");
      expect(form).toMatchObject({
        grant_type: "refresh_token",
        service: HOST,
        refresh_token: refresh,
        scope: "repository:app:pull,push",
      });
      json(response, 200, { access_token: "registry-token" });
    });
    const given = await obtainAcr(cloud.options, ENTRY);
    expect(given).toEqual({ kind: "identity", token: refresh, username: USER, expiresAtMs: NOW_MS + 10_800_000 });

    const source = new TokenSource({
      settings: settingsFor(HOST, { tls: "enabled" }),
      side: "target",
      credentials: () => given,
      fetch: cloud.fetch,
      now: cloud.options.now,
      log: () => {},
      refusalOf: () => null,
    });
    const challenge = `Bearer realm="https://${HOST}/oauth2/token",service="${HOST}",scope="repository:app:pull,push"`;
    const authorization = await source.authorize({ scopes: ["repository:app:pull,push"], challenge });
    expect(authorization?.header).toBe("Bearer registry-token");
  });

  it.each([
    ["team.azurecr.cn", "login.partner.microsoftonline.cn"],
    ["team.azurecr.us", "login.microsoftonline.us"],
  ])("%s is in another cloud, whose Entra ID is at %s", async (host, login) => {
    await using cloud = await startCloud(host, (asked, response) => {
      expect([login, host]).toContain(asked.host);
      json(response, 200, { access_token: "a", refresh_token: "opaque" });
    });
    // A token that does not tell its time is good for three hours.
    expect(await obtainAcr(cloud.options, ENTRY)).toMatchObject({ expiresAtMs: NOW_MS + 10_800_000 });
    expect(cloud.asked.map((each) => each.host)).toEqual([login, host]);
  });

  it("needs no secret where the principal trusts another issuer's token", async () => {
    await using cloud = await startCloud(HOST, (asked, response) => {
      if (asked.host !== HOST) {
        const form = formOf(asked);
        expect(form).not.toHaveProperty("client_secret");
        expect(form).toMatchObject({
          client_assertion_type: "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
          client_assertion: "a.web.token",
        });
      }
      json(response, 200, { access_token: "a", refresh_token: "opaque" });
    });
    const { client_secret: _secret, ...entry } = ENTRY;
    expect((await obtainAcr(cloud.options, { ...entry, identity: { token: "a.web.token" } })).kind).toBe("identity");
  });

  it("names the side that refuses, without a secret", async () => {
    await using cloud = await startCloud(HOST, (asked, response) => {
      const said = { error: "invalid_client", error_description: `AADSTS7000215: Invalid client secret ${asked.body}` };
      json(response, 401, said);
    });
    const detail = await refusal(obtainAcr(cloud.options, { ...ENTRY, client_secret: "plainsecret" }));
    expect(detail).toMatchObject({ code: "unauthorized", status: 401 });
    expect(detail.message).toMatch(
      /^team\.azurecr\.io: Entra ID \(login\.microsoftonline\.com\) answered 401: AADSTS7000215/,
    );
    expect(detail.message).not.toContain("plainsecret");
  });
});

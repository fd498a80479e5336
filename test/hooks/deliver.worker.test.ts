/** The same deliveries in the Worker's own runtime: its WebCrypto, its streams, its Request. */
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { describe, expect, it } from "vitest";
import type { Hook } from "../../src/hooks/contract.ts";
import { deliver } from "../../src/hooks/deliver.ts";
import { hashOfPathPart } from "../../src/hooks/path-part.ts";
import { KeySets } from "../../src/hooks/token.ts";

const PATH_PART = "in-the-runtime";
const SECRET = "it takes three to tango";
const BODY = JSON.stringify({ image: "registry.example.com/team/app:1.4" });

async function statusOf(settings: Partial<Hook>, headers: Record<string, string>, keySets = new KeySets(fetch)) {
  const hook: Hook = { name: "hook", sender: "generic", pathHash: await hashOfPathPart(PATH_PART), ...settings };
  const request = new Request("https://drayage.example.com/v1/hooks/hook/x", { method: "POST", headers, body: BODY });
  const answer = await deliver(hook, PATH_PART, request, {
    start: (events) =>
      Promise.resolve({
        started: events.map(() => ({ copy: "cp_1", source: "s", target: "t" })),
        joined: [],
        ignored: [],
      }),
    keySets,
    nowMs: Date.now(),
  });
  await answer.body?.cancel();
  return answer.status;
}

describe("in workerd", () => {
  it("a signature over the raw body is checked", async () => {
    const key = await crypto.subtle.importKey(
      "raw",
      new TextEncoder().encode(SECRET),
      { name: "HMAC", hash: "SHA-256" },
      false,
      ["sign"],
    );
    const mac = new Uint8Array(await crypto.subtle.sign("HMAC", key, new TextEncoder().encode(BODY)));
    const signature = `sha256=${Array.from(mac, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
    expect(await statusOf({ secrets: [SECRET] }, { "x-signature": signature })).toBe(202);
    expect(await statusOf({ secrets: ["another"] }, { "x-signature": signature })).toBe(401);
  });

  it("a token is checked against its issuer's keys", async () => {
    const pair = await generateKeyPair("RS256");
    const jwks = { keys: [{ ...(await exportJWK(pair.publicKey)), kid: "k1", alg: "RS256" }] };
    const keySets = new KeySets(() => Promise.resolve(Response.json(jwks)));
    const token = {
      issuers: ["https://idp.example.com"],
      audience: "drayage",
      jwksUrl: "https://idp.example.com/jwks",
    };
    const bearer = await new SignJWT({ iss: "https://idp.example.com", aud: "drayage" })
      .setProtectedHeader({ alg: "RS256", kid: "k1" })
      .setExpirationTime("5m")
      .sign(pair.privateKey);
    const headers = { authorization: `Bearer ${bearer}` };
    expect(await statusOf({ token }, headers, keySets)).toBe(202);
    expect(await statusOf({ token: { ...token, audience: "else" } }, headers, keySets)).toBe(401);
  });
});

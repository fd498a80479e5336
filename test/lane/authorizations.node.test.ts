import { describe, expect, test } from "vitest";
import { Authorizations } from "../../src/lane/authorizations.ts";
import type { Authorization, AuthorizationRequest } from "../../src/registry/gate.ts";

const SCOPES = ["repository:app:pull"];
const CHALLENGE = 'Bearer realm="https://auth.example/token"';

/** A host that gives numbered tokens, each good for ten seconds, from the first challenge on. */
function host(): { asked: AuthorizationRequest[]; clock: { ms: number }; lane: Authorizations } {
  const asked: AuthorizationRequest[] = [];
  const clock = { ms: 0 };
  let isGuarded = false;
  const answer = async (request: AuthorizationRequest): Promise<Authorization | null> => {
    asked.push(request);
    isGuarded ||= request.challenge !== undefined;
    return isGuarded ? { header: `Bearer ${asked.length}`, expiresAtMs: clock.ms + 10_000 } : null;
  };
  return { asked, clock, lane: new Authorizations(answer, () => clock.ms) };
}

describe("the authorizations of a lane", () => {
  test("that nothing is needed is asked once for the same scopes", async () => {
    const { asked, lane } = host();
    expect(await lane.authorize({ scopes: SCOPES })).toBeNull();
    expect(await lane.authorize({ scopes: SCOPES, validForMs: 60_000 })).toBeNull();
    expect(asked).toHaveLength(1);
    await lane.authorize({ scopes: ["repository:other:pull"] });
    expect(asked).toHaveLength(2);
  });

  test("a challenge is always passed on, and its answer known to all from then on", async () => {
    const { asked, lane } = host();
    await lane.authorize({ scopes: SCOPES });
    expect(await lane.authorize({ scopes: SCOPES, challenge: CHALLENGE })).toMatchObject({ header: "Bearer 2" });
    expect(await lane.authorize({ scopes: SCOPES })).toMatchObject({ header: "Bearer 2" });
    expect(asked).toHaveLength(2);
    const refused = await lane.authorize({ scopes: SCOPES, challenge: CHALLENGE, refused: "Bearer 2" });
    expect(refused).toMatchObject({ header: "Bearer 3" });
  });

  test.each([
    ["has run out", 10_000, 0],
    ["will have run out when it is looked at", 5_000, 6_000],
  ])("one that %s is asked for anew", async (_name, atMs, validForMs) => {
    const { asked, clock, lane } = host();
    await lane.authorize({ scopes: SCOPES, challenge: CHALLENGE });
    clock.ms = atMs;
    expect(await lane.authorize({ scopes: SCOPES, validForMs })).toMatchObject({ header: "Bearer 2" });
    expect(asked).toHaveLength(2);
  });
});

import { describe, expect, it } from "vitest";
import type { Credential } from "../../src/registry/credentials.ts";
import type { Refusal } from "../../src/registry/reach.ts";
import { TokenSource } from "../../src/registry/token.ts";
import type { RequestLine } from "../../src/registry/wire.ts";
import { settingsFor } from "./settings.ts";
import { json, refusal, serve, type Seen, type SmallServer } from "./support.ts";
import type { ServerResponse } from "node:http";

const PASSWORD = "hunter2-secret";
const USER: Credential = { kind: "basic", username: "me", password: PASSWORD };
const PULL = ["repository:a/b:pull"];
const PUSH = ["repository:a/b:pull,push"];

interface Setup extends AsyncDisposable {
  server: SmallServer;
  source: TokenSource;
  challenge: string;
  lines: RequestLine[];
  clock: { ms: number };
}

/** A token endpoint that numbers its tokens, and a source that knows it. */
async function setUp(
  options: {
    credential?: Credential | null;
    answer?: (seen: Seen, response: ServerResponse, count: number) => void;
    refusalOf?: Refusal;
  } = {},
): Promise<Setup> {
  let count = 0;
  const server = await serve((seen, response) => {
    count++;
    if (options.answer) {
      options.answer(seen, response, count);
    } else {
      json(response, 200, { token: `token-${count}`, expires_in: 300 });
    }
  });
  const clock = { ms: 1_000_000 };
  const lines: RequestLine[] = [];
  const source = new TokenSource({
    settings: settingsFor("127.0.0.1:5000"),
    side: "target",
    credentials: () => options.credential ?? null,
    fetch,
    now: () => clock.ms,
    log: (line) => void lines.push(line),
    refusalOf: options.refusalOf ?? (() => null),
  });
  const challenge = `Bearer realm="http://${server.host}/token?tenant=7",service="reg",scope="repository:a/b:pull"`;
  return { server, source, challenge, lines, clock, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}

const queryOf = (seen: Seen | undefined): URLSearchParams => new URL(seen?.url ?? "", "http://x").searchParams;

describe("a token source", () => {
  it("sends nothing while the registry has asked for nothing", async () => {
    await using bench = await setUp({ credential: USER });
    expect(await bench.source.authorize({ scopes: PULL })).toBeNull();
    expect(bench.server.seen).toEqual([]);
  });

  it("asks the realm with Basic, keeping its query, and needs no second challenge", async () => {
    await using bench = await setUp({ credential: USER });
    const first = await bench.source.authorize({ scopes: PULL, challenge: bench.challenge });
    expect(first).toEqual({ header: "Bearer token-1", expiresAtMs: 1_000_000 + 290_000 });
    expect(Object.fromEntries(queryOf(bench.server.seen[0]))).toMatchObject({
      tenant: "7",
      service: "reg",
      scope: "repository:a/b:pull",
      account: "me",
    });
    expect(bench.server.seen[0]?.headers.authorization).toBe(`Basic ${btoa(`me:${PASSWORD}`)}`);
    expect(await bench.source.authorize({ scopes: PULL })).toEqual(first);
    expect((await bench.source.authorize({ scopes: PUSH }))?.header).toBe("Bearer token-2");
    expect(bench.server.seen).toHaveLength(2);
  });

  it("uses a token for whatever its scopes cover", async () => {
    await using bench = await setUp();
    await bench.source.authorize({ scopes: [...PUSH, "repository:c:pull"], challenge: bench.challenge });
    expect((await bench.source.authorize({ scopes: PULL }))?.header).toBe("Bearer token-1");
    expect((await bench.source.authorize({ scopes: PUSH }))?.header).toBe("Bearer token-1");
    expect((await bench.source.authorize({ scopes: ["repository:d:pull"] }))?.header).toBe("Bearer token-2");
  });

  it("asks once for many who ask at the same time", async () => {
    await using bench = await setUp();
    const request = { scopes: PULL, challenge: bench.challenge };
    const all = await Promise.all(Array.from({ length: 20 }, () => bench.source.authorize(request)));
    expect(new Set(all.map((each) => each?.header))).toEqual(new Set(["Bearer token-1"]));
    expect(bench.server.seen).toHaveLength(1);
  });

  it("asks again when the token's time is over: 60 s where nothing is said, less a margin", async () => {
    await using bench = await setUp({
      answer: (_seen, response, count) => json(response, 200, { access_token: `t${count}` }),
    });
    const first = await bench.source.authorize({ scopes: PULL, challenge: bench.challenge });
    expect(first).toEqual({ header: "Bearer t1", expiresAtMs: 1_050_000 });
    bench.clock.ms = 1_049_999;
    expect((await bench.source.authorize({ scopes: PULL }))?.header).toBe("Bearer t1");
    bench.clock.ms = 1_050_000;
    expect((await bench.source.authorize({ scopes: PULL }))?.header).toBe("Bearer t2");
  });

  it("replaces a token that does not last as long as wanted, unless a new one would not either", async () => {
    await using bench = await setUp();
    await bench.source.authorize({ scopes: PUSH, challenge: bench.challenge });
    bench.clock.ms += 240_000;
    expect((await bench.source.authorize({ scopes: PUSH }))?.header).toBe("Bearer token-1");
    expect((await bench.source.authorize({ scopes: PUSH, validForMs: 60_000 }))?.header).toBe("Bearer token-2");
    expect((await bench.source.authorize({ scopes: PUSH, validForMs: 3_600_000 }))?.header).toBe("Bearer token-2");
  });

  it("does not answer a refused value again", async () => {
    await using bench = await setUp({ answer: (_seen, response) => json(response, 200, { token: "always-this" }) });
    const first = await bench.source.authorize({ scopes: PULL, challenge: bench.challenge });
    const request = { scopes: PULL, challenge: bench.challenge, refused: first?.header ?? "" };
    expect(await bench.source.authorize(request)).toBeNull();
    expect(await bench.source.authorize({ scopes: PULL })).toBeNull();
  });

  it("asks for the scope the registry offers besides the one it was asked for", async () => {
    await using bench = await setUp();
    const challenge = bench.challenge.replace("repository:a/b:pull", "repository:mirror/a/b:pull");
    await bench.source.authorize({ scopes: PULL, challenge });
    expect(queryOf(bench.server.seen[0]).getAll("scope")).toEqual([
      "repository:a/b:pull",
      "repository:mirror/a/b:pull",
    ]);
  });

  it("sends Basic at once where that is asked for, until it is refused", async () => {
    await using bench = await setUp({ credential: USER });
    const header = `Basic ${btoa(`me:${PASSWORD}`)}`;
    const first = await bench.source.authorize({ scopes: PULL, challenge: 'Basic realm="r"' });
    expect(first?.header).toBe(header);
    expect((await bench.source.authorize({ scopes: PUSH }))?.header).toBe(header);
    expect(await bench.source.authorize({ scopes: PULL, refused: header })).toBeNull();
    expect(bench.server.seen).toEqual([]);
  });

  it.each([
    ["another repository", ["repository:other:pull"]],
    ["the same one, for reading only", PULL],
  ])("refused for one thing, Basic is still sent for %s", async (_name, scopes) => {
    await using bench = await setUp({ credential: USER });
    const challenge = 'Basic realm="r"';
    const header = (await bench.source.authorize({ scopes: PUSH, challenge }))?.header ?? "";
    expect(await bench.source.authorize({ scopes: PUSH, challenge, refused: header })).toBeNull();
    expect((await bench.source.authorize({ scopes }))?.header).toBe(header);
  });

  it("tries again after a minute what was refused: somebody may have seen to it", async () => {
    await using bench = await setUp({ credential: USER });
    const header = (await bench.source.authorize({ scopes: PUSH, challenge: 'Basic realm="r"' }))?.header ?? "";
    expect(await bench.source.authorize({ scopes: PUSH, refused: header })).toBeNull();
    bench.clock.ms += 59_999;
    expect(await bench.source.authorize({ scopes: PUSH })).toBeNull();
    bench.clock.ms += 1;
    expect((await bench.source.authorize({ scopes: PUSH }))?.header).toBe(header);
  });

  it("sends a registry token as it is, before any challenge", async () => {
    await using bench = await setUp({ credential: { kind: "bearer", token: "ready" } });
    expect((await bench.source.authorize({ scopes: PULL }))?.header).toBe("Bearer ready");
  });

  it("posts an identity token, and falls back to GET where that is not known", async () => {
    const identity: Credential = { kind: "identity", token: "refresh-1", username: "<token>" };
    await using posting = await setUp({ credential: identity });
    await posting.source.authorize({ scopes: PUSH, challenge: posting.challenge });
    const [post] = posting.server.seen;
    expect(post?.method).toBe("POST");
    expect(Object.fromEntries(new URLSearchParams(post?.body))).toEqual({
      grant_type: "refresh_token",
      client_id: "drayage",
      refresh_token: "refresh-1",
      service: "reg",
      scope: "repository:a/b:pull,push",
    });
    expect(post?.url).not.toContain("refresh-1");

    await using falling = await setUp({
      credential: identity,
      answer: (seen, response) => json(response, seen.method === "POST" ? 405 : 200, { token: "by-get" }),
    });
    const request = { scopes: PULL, challenge: falling.challenge };
    expect((await falling.source.authorize(request))?.header).toBe("Bearer by-get");
    expect(falling.server.seen.map(({ method }) => method)).toEqual(["POST", "GET"]);
  });

  it.each([401, 403, 400, 404])(
    "takes %i for an answer, in the server's words and without a secret",
    async (status) => {
      const basic = btoa(`me:${PASSWORD}`);
      await using bench = await setUp({
        credential: USER,
        answer: (_seen, response) => json(response, status, { details: `no: ${PASSWORD} ${basic}` }),
      });
      const detail = await refusal(bench.source.authorize({ scopes: PULL, challenge: bench.challenge }));
      expect(detail).toMatchObject({ code: "unauthorized", side: "target", status, retryable: false });
      expect(detail.message).toContain("no: [secret] [secret]");
      expect(JSON.stringify([detail, bench.lines])).not.toMatch(/hunter2|bWU6/);
      expect(bench.server.seen).toHaveLength(1);
    },
  );

  it.each([
    [429, "rate_limited"],
    [503, "unavailable"],
  ])("can be asked again after %i", async (status, code) => {
    await using bench = await setUp({
      answer: (_seen, response, count) =>
        json(response, count === 1 ? status : 200, { token: "late" }, { "retry-after": "7" }),
    });
    const request = { scopes: PULL, challenge: bench.challenge };
    const detail = await refusal(bench.source.authorize(request));
    expect(detail).toMatchObject({ code, status, retryable: true, retryAt: 1_007_000 });
    expect((await bench.source.authorize(request))?.header).toBe("Bearer late");
  });

  it("can be asked again when the endpoint cannot be reached", async () => {
    await using bench = await setUp({ answer: (_seen, response) => response.socket?.destroy() });
    const detail = await refusal(bench.source.authorize({ scopes: PULL, challenge: bench.challenge }));
    expect(detail).toMatchObject({ code: "connection", retryable: true });
  });

  it.each([["{}"], ["not json"], ['{"token": "a\\nb"}'], ['{"token": 5}']])("refuses the answer %s", async (body) => {
    await using bench = await setUp({ answer: (_seen, response) => response.end(body) });
    const detail = await refusal(bench.source.authorize({ scopes: PULL, challenge: bench.challenge }));
    expect(detail).toMatchObject({ code: "unauthorized", retryable: false });
    expect(detail.message).toContain("without a usable token");
  });

  it("does not follow the endpoint elsewhere", async () => {
    await using elsewhere = await serve((_seen, response) => json(response, 200, { token: "stolen" }));
    await using bench = await setUp({
      credential: USER,
      answer: (_seen, response) => response.writeHead(302, { location: `http://${elsewhere.host}/` }).end(),
    });
    const detail = await refusal(bench.source.authorize({ scopes: PULL, challenge: bench.challenge }));
    expect(detail.status).toBe(302);
    expect(elsewhere.seen).toEqual([]);
  });

  it("refuses schemes it does not speak", async () => {
    await using bench = await setUp({ credential: USER });
    const detail = await refusal(bench.source.authorize({ scopes: PULL, challenge: "Negotiate, NTLM" }));
    expect(detail).toMatchObject({ code: "unsupported", retryable: false });
    expect(detail.message).toContain("negotiate, ntlm");
  });

  it("prefers Bearer where both are offered", async () => {
    await using bench = await setUp({ credential: USER });
    const challenge = `Basic realm="x", ${bench.challenge}`;
    expect((await bench.source.authorize({ scopes: PULL, challenge }))?.header).toBe("Bearer token-1");
  });
});

describe("the realm", () => {
  const asked = async (realm: string, refusalOf?: Refusal): Promise<string[]> => {
    const urls: string[] = [];
    const source = new TokenSource({
      settings: settingsFor("registry.example.com", { tls: "enabled" }),
      side: "source",
      credentials: () => USER,
      fetch: async (url) => {
        urls.push(url);
        return Response.json({ token: "t" });
      },
      now: () => 0,
      log: () => {},
      refusalOf: refusalOf ?? (() => null),
    });
    const detail = await source.authorize({ scopes: PULL, challenge: `Bearer realm="${realm}"` }).then(
      () => null,
      (error: unknown) => error,
    );
    return detail === null ? urls.map((url) => new URL(url).origin + new URL(url).pathname) : ["refused"];
  };

  it.each([
    ["https://auth.example.com/token", ["https://auth.example.com/token"]],
    ["/v2/token", ["https://registry.example.com/v2/token"]],
    ["http://auth.example.com/token", ["refused"]],
    ["http://registry.example.com/token", ["refused"]],
    ["https://127.0.0.1/token", ["refused"]],
    ["https://169.254.169.254/token", ["refused"]],
    ["https://vault.internal/token", ["refused"]],
    ["https://me:pw@auth.example.com/token", ["refused"]],
    ["https://", ["refused"]],
  ])("%s of a public registry leads to %j", async (realm, expected) => {
    expect(await asked(realm)).toEqual(expected);
  });

  it("is asked only where the service may call", async () => {
    const refusalOf: Refusal = ({ hostname }) => (hostname === "auth.example.com" ? "is not wanted" : null);
    expect(await asked("https://auth.example.com/token", refusalOf)).toEqual(["refused"]);
  });
});

/**
 * Copies from registries of clouds, in the Worker's own runtime: the keys of REGISTRY_CREDENTIALS and what the clouds give
 * for them are markers, and none of them is in what the service logs, shows or keeps.
 */
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, inject, test, vi } from "vitest";
import type { CopyView } from "../../src/job/contract.ts";
import { api } from "../api/client.worker.ts";
import { pushImage } from "../job/push.ts";

const { source, target } = inject("registries");
const ECR = "111122223333.dkr.ecr.eu-west-1.amazonaws.com";
const ACR = "team.azurecr.io";
const CLOUDFLARE = "registry.cloudflare.com";
const PATIENCE_MS = 20_000;

const MARKER = /mark-[a-z-]+/;
const basicOf = (username: string, password: string): string => `Basic ${btoa(`${username}:${password}`)}`;

/** Headers that each registry takes, in the order in which they were given out. */
const ADMITTED = new Map<string, string>([
  [ECR, basicOf("AWS", "mark-ecr-password")],
  [ACR, "Bearer mark-acr-token"],
  [CLOUDFLARE, basicOf("v1", "mark-cloudflare-password")],
]);

/** What the clouds were asked, by address. */
let asked: string[] = [];
let lines: string[] = [];
let refusing = false;
const realFetch = globalThis.fetch;

/** Answers for the clouds, and for their registries with the images of the registry on loopback. */
const cloudFetch: typeof fetch = async (input, init) => {
  const url = new URL(input instanceof Request ? input.url : String(input));
  const answer = (body: object, status = 200): Response => Response.json(body, { status });
  const headers = new Headers(init?.headers);
  const given = headers.get("authorization") ?? "";
  const sent = typeof init?.body === "string" ? init.body : "";
  if (!url.hostname.includes(".") || url.hostname === "127.0.0.1") {
    return realFetch(input, init);
  }
  if (!url.pathname.startsWith("/v2/")) {
    asked.push(url.host + url.pathname);
    if (refusing) {
      return answer({ message: `not with ${given} and ${sent}` }, 403);
    }
  }
  switch (url.host + url.pathname) {
    case "api.ecr.eu-west-1.amazonaws.com/":
      expect(given).toMatch(/^AWS4-HMAC-SHA256 Credential=mark-aws-id\/\d{8}\/eu-west-1\/ecr\/aws4_request/);
      return answer({ authorizationData: [{ authorizationToken: btoa("AWS:mark-ecr-password") }] });
    case "login.microsoftonline.com/t/oauth2/v2.0/token":
      expect(sent).toContain("client_secret=mark-azure-secret");
      return answer({ access_token: "mark-entra-token" });
    case `${ACR}/oauth2/exchange`:
      expect(sent).toContain("access_token=mark-entra-token");
      return answer({ refresh_token: "mark-refresh-token" });
    case `${ACR}/oauth2/token`:
      expect(sent).toContain("refresh_token=mark-refresh-token");
      return answer({ access_token: "mark-acr-token" });
    case `api.cloudflare.com/client/v4/accounts/${"0".repeat(32)}/containers/registries/${CLOUDFLARE}/credentials`:
      expect(given).toBe("Bearer mark-cloudflare-token");
      return answer({ success: true, result: { username: "v1", password: "mark-cloudflare-password" } });
    default:
  }
  const isOpen = url.pathname.startsWith("/v2/open/");
  if (given !== (isOpen ? basicOf("u", "mark-basic-password") : ADMITTED.get(url.host))) {
    const bearer = `Bearer realm="https://${url.host}/oauth2/token",service="${url.host}"`;
    return new Response(null, { status: 401, headers: { "www-authenticate": url.host === ACR ? bearer : "Basic" } });
  }
  headers.delete("authorization");
  return realFetch(`http://${source}${url.pathname}${url.search}`, { ...init, headers });
};

beforeEach(() => {
  [asked, lines, refusing] = [[], [], false];
  vi.stubGlobal("fetch", cloudFetch);
  for (const level of ["log", "error", "warn", "info"] as const) {
    vi.spyOn(console, level).mockImplementation((...words) => void lines.push(words.map(String).join(" ")));
  }
});

afterEach(() => {
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

/** Copies from the cloud's registry, and answers with everything that is to be seen of it afterwards. */
async function copyFrom(host: string, repository: string): Promise<{ view: CopyView; seen: string }> {
  await pushImage(source, repository, [2_000, 3_000], "v1");
  const id = crypto.randomUUID();
  await env.JOBS.getByName(id).start(id, {
    source: { host, repository, tag: "v1" },
    target: { host: target, repository: `copied/${repository}`, tag: "v1" },
  });
  const view = (await env.JOBS.getByName(id).view(PATIENCE_MS)) ?? expect.unreachable();
  const events = await new Response(await env.JOBS.getByName(id).events(0)).text();
  const answers = ["/v1/registries", `/v1/registries/${host}`, "/v1/copies"].map(async (path) =>
    (await api(path)).text(),
  );
  const rows = [env.REGISTRIES.getByName(host), env.REGISTRIES.getByName(target), env.JOBS.getByName(id)].map((stub) =>
    runInDurableObject(stub, (_object: unknown, state) => allRows(state)),
  );
  const all = [JSON.stringify(view), events, ...(await Promise.all([...answers, ...rows])), ...lines];
  return { view, seen: all.join("\n") };
}

function allRows({ storage }: DurableObjectState): string {
  const tables = storage.sql.exec<{ name: string }>("SELECT name FROM sqlite_master WHERE type = 'table'").toArray();
  const shown = tables.filter(({ name }) => !name.startsWith("_cf_"));
  return JSON.stringify(shown.map(({ name }) => storage.sql.exec(`SELECT * FROM "${name}"`).toArray()));
}

describe("a registry of a cloud", () => {
  test.each([
    [ECR, 1],
    [ACR, 3],
    [CLOUDFLARE, 1],
  ])("%s is read with what the cloud gives for the keys, and none of it is seen", async (host, questions) => {
    const repository = crypto.randomUUID();
    const { view, seen } = await copyFrom(host, repository);
    expect(view.error).toBeNull();
    expect(view.state).toBe("succeeded");
    expect(asked, asked.join(", ")).toHaveLength(questions);
    expect(seen).not.toMatch(MARKER);
    expect(seen).toContain(repository);
    expect(lines.join("\n")).toContain('"msg":"request"');
  });

  test.each([ECR, ACR, CLOUDFLARE])(
    "%s whose cloud refuses the keys fails the copy in its words, without them",
    async (host) => {
      await evictDurableObject(env.REGISTRIES.getByName(host));
      refusing = true;
      const { view, seen } = await copyFrom(host, crypto.randomUUID());
      expect(view).toMatchObject({
        state: "failed",
        error: { code: "unauthorized", side: "source", host, status: 403 },
      });
      expect(view.error?.message).toContain(`check the entry for ${host} in REGISTRY_CREDENTIALS`);
      expect(view.error?.message).toContain("[secret]");
      expect(seen).not.toMatch(MARKER);
      expect(asked).toHaveLength(1);
    },
  );

  test("is asked once for two copies, and a repository's own credentials stand above the host's", async () => {
    await evictDurableObject(env.REGISTRIES.getByName(CLOUDFLARE));
    await copyFrom(CLOUDFLARE, crypto.randomUUID());
    expect(asked).toHaveLength(1);
    const before = asked.length;
    const { view, seen } = await copyFrom(CLOUDFLARE, `open/${crypto.randomUUID()}`);
    expect(view.state).toBe("succeeded");
    expect(asked).toHaveLength(before);
    expect(seen).not.toMatch(MARKER);
  });
});

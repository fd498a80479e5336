/** What `drayage copy` says of each failure: which side, what was asked, what the registry said, what was tried, what to do. */
import { describe, expect, inject, it } from "vitest";
import { Home, type Credentials } from "../e2e/command.ts";
import type { FaultRule } from "../registry-server/faults.ts";
import { startRegistry, type RegistryOptions } from "../registry-server/server.ts";
import { singleImage } from "../support/sample-image.ts";
import { seed } from "./seed.ts";

const SAMPLE = singleImage({ seed: "messages", layerBytes: [100_000] });
const LOGIN: Credentials = { user: "reader", password: "right-word" };
const READER = { name: "reader", password: "right-word", may: [{ repository: /./, actions: ["pull"] }] };

interface Case {
  what: string;
  source?: RegistryOptions;
  target?: RegistryOptions;
  login?: Credentials;
  /** In place of the target's own host. */
  targetHost?: string;
  tag?: string;
  /** All of them, in any order. */
  says: RegExp[];
}

function answers(method: string | string[], path: RegExp, status: number, code = "UNKNOWN"): RegistryOptions {
  const rule: FaultRule = { match: { method, path }, action: { type: "status", status, code } };
  return { rules: [rule] };
}

const CASES: Case[] = [
  {
    what: "a tag that is missing",
    tag: "nowhere",
    says: [/at the source/i, /:nowhere does not exist/, /check repository and tag/],
  },
  {
    what: "no right to push, by token",
    target: { auth: { type: "bearer", users: [READER] } },
    login: LOGIN,
    says: [
      /at the target/i,
      /answered 401 to "start upload" of mirror\/app/,
      /do not suffice; check them and what they allow/,
    ],
  },
  {
    what: "no right to push, by name and password",
    target: { auth: { type: "basic", users: [READER] } },
    login: LOGIN,
    says: [/answered 403 to "start upload" of mirror\/app\S+ \(DENIED\)/, /reader may not do that/, /do not suffice/],
  },
  {
    what: "a wrong password, at the token endpoint",
    target: { auth: { type: "bearer", users: [READER] } },
    login: { ...LOGIN, password: "wrong-word" },
    says: [/at the target/i, /token endpoint/, /wrong user or password/, /check the credentials/],
  },
  {
    what: "a wrong password, at the registry",
    target: { auth: { type: "basic", users: [READER] } },
    login: { ...LOGIN, password: "wrong-word" },
    says: [/answered 401/, /do not suffice; check them/],
  },
  {
    what: "no login at all",
    target: { auth: { type: "basic", users: [READER] } },
    says: [/no credentials for 127\.0\.0\.1:\d+ are known; log in to it first/],
  },
  {
    what: "nobody who answers",
    targetHost: "127.0.0.1:1",
    says: [/at the target/i, /could not be reached/, /tried 6 times/, /Nothing listens at 127\.0\.0\.1:1:/],
  },
  {
    what: "a name that does not resolve",
    targetHost: "registry.nowhere.invalid",
    says: [
      /registry\.nowhere\.invalid could not be reached/,
      /check its name and port/,
      /tried 6 times/,
      /There is no host of the name/,
    ],
  },
  {
    what: "5xx for ever",
    source: answers(["GET", "HEAD"], /manifests/, 503),
    says: [/at the source/i, /answered 503 to "look up manifest" of team\/app/, /tried 6 times/],
  },
  {
    what: "a source that always corrupts",
    source: { rules: [{ match: { method: "GET", path: /blobs/ }, action: { type: "corrupt", atByte: 100 } }] },
    says: [/at the source/i, /sent bytes with the digest sha256:/, /tried 3 times/, /push it there once more/],
  },
  {
    what: "a target without room",
    target: answers(["PUT", "PATCH"], /uploads/, 507),
    says: [/at the target/i, /answered 507/, /has no room left/],
  },
  {
    what: "a target that takes next to nothing",
    target: { maxBodyBytes: 100 },
    says: [/answered 413/, /a body may have 100 bytes/, /set chunk_bytes/],
  },
  {
    what: "a target that is read-only",
    target: answers("POST", /uploads/, 405),
    says: [
      /at the target/i,
      /answered 405 to "start upload" of mirror\/app/,
      /takes no pushes there: it is read-only, or a/,
    ],
  },
  {
    what: "a manifest that is refused",
    target: answers("PUT", /manifests/, 400, "MANIFEST_INVALID"),
    says: [/at the target/i, /answered 400 to "write manifest" of mirror\/app:v1 \(MANIFEST_INVALID\)/],
  },
];

describe.skipIf(inject("withoutRegistry"))("a failure", () => {
  it.each(CASES)("because of $what says so", async ({ source = {}, target = {}, login, targetHost, tag, says }) => {
    await using from = await startRegistry(source);
    await using to = await startRegistry(target);
    seed(from, "team/app", SAMPLE);
    await using home = await Home.create(login === undefined ? {} : { [to.host]: login });
    const ended = await home.run(
      "copy",
      "--quiet",
      `${from.host}/team/app:${tag ?? SAMPLE.tag}`,
      `${targetHost ?? to.host}/mirror/app:v1`,
    );
    expect(ended).toMatchObject({ status: 1, stdout: "" });
    for (const words of says) {
      expect(ended.stderr).toMatch(words);
    }
    expect(ended.stderr).not.toMatch(/(right|wrong)-word|internal error|\n\s+at /);
    expect(to.storage.repositories.get("mirror/app")?.tags.size ?? 0).toBe(0);
    expect(to.openUploads()).toEqual([]);
  });

  it("to move an immutable tag, after an answer that was lost, is none", async () => {
    await using from = await startRegistry();
    await using to = await startRegistry({
      immutableTags: true,
      rules: [{ match: { method: "PUT", path: /manifests/ }, times: 1, action: { type: "late-error", status: 502 } }],
    });
    seed(from, "team/app", SAMPLE);
    await using home = await Home.create();
    const ended = await home.run("copy", "--quiet", `${from.host}/team/app:${SAMPLE.tag}`, `${to.host}/mirror/app:v1`);
    expect(ended).toMatchObject({ status: 0, stderr: "" });
    const written = to.requests.filter(({ method, path }) => method === "PUT" && path.includes("/manifests/"));
    expect(written.map(({ status }) => status)).toEqual([502, 400]);
  });
});

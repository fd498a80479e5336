/** The user's credentials: which file, which helper, and what is said when something is wrong. */
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { askHelper } from "../../src/cli/credentials/helper.ts";
import { authFiles, userCredentials } from "../../src/cli/credentials/lookup.ts";

let home: string;

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "drayage-home-"));
  vi.stubEnv("PATH", `${home}/bin:${process.env["PATH"]}`);
  vi.stubEnv("DRAYAGE_TOKEN", "token-of-the-service");
});

afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(home, { recursive: true, force: true });
});

function write(path: string, content: unknown): string {
  const file = join(home, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, typeof content === "string" ? content : JSON.stringify(content));
  return file;
}

/** A helper that notes each server it is asked for and runs `body`, a shell script with the server as `$server`. */
function helper(name: string, body: string): void {
  const file = write(
    `bin/docker-credential-${name}`,
    `#!/bin/sh\nserver=$(cat)\necho "$1 $server [$DRAYAGE_TOKEN]" >> "${home}/asked"\n${body}\n`,
  );
  chmodSync(file, 0o755);
}

function asked(): string[] {
  return readFileSync(join(home, "asked"), "utf8").trim().split("\n");
}

const auth = (text: string): object => ({ auth: Buffer.from(text).toString("base64") });
const found = (user: string, secret: string): string => `echo '{"Username":"${user}","Secret":"${secret}"}'`;

describe("the files", () => {
  test.each<[string, Record<string, string>, string[]]>([
    ["docker's own", {}, ["/home/u/.docker/config.json"]],
    ["DOCKER_CONFIG names a folder", { DOCKER_CONFIG: "/d" }, ["/d/config.json"]],
    [
      "podman's after docker's",
      { XDG_RUNTIME_DIR: "/run/u" },
      ["/home/u/.docker/config.json", "/run/u/containers/auth.json"],
    ],
    [
      "REGISTRY_AUTH_FILE alone",
      { REGISTRY_AUTH_FILE: "/a.json", DOCKER_CONFIG: "/d", XDG_RUNTIME_DIR: "/r" },
      ["/a.json"],
    ],
  ])("%s", (_name, env, paths) => {
    expect(authFiles(env, "/home/u").map(({ path }) => path)).toEqual(paths);
  });

  test("the first that knows the host counts", async () => {
    write(".docker/config.json", { auths: { "a.example": auth("u:docker") } });
    const runtime = join(home, "run");
    write("run/containers/auth.json", { auths: { "a.example": auth("u:podman"), "b.example": auth("u:podman") } });
    const lookup = userCredentials({ XDG_RUNTIME_DIR: runtime }, home);
    expect(await lookup("a.example", null)).toMatchObject({ password: "docker" });
    expect(await lookup("b.example", null)).toMatchObject({ password: "podman" });
    expect(await lookup("c.example", null)).toBeNull();
  });

  test("a login made meanwhile counts at once", async () => {
    const lookup = userCredentials({}, home);
    expect(await lookup("a.example", null)).toBeNull();
    write(".docker/config.json", { auths: { "a.example": auth("u:new") } });
    expect(await lookup("a.example", null)).toMatchObject({ password: "new" });
  });

  test("one that was named and is missing is an error that names it", async () => {
    const lookup = userCredentials({ REGISTRY_AUTH_FILE: `${home}/none.json` }, home);
    await expect(lookup("a.example", null)).rejects.toThrow(/none\.json.*ENOENT/);
  });

  test("a broken one is an error without its content", async () => {
    write(".docker/config.json", '{"auths": {"a": {"auth": "c2VjcmV0"}');
    const failure = await userCredentials({}, home)("a.example", null).catch((error: Error) => error.message);
    expect(failure).toMatch(/config\.json is not JSON/);
    expect(failure).toMatch(/line 1, column \d+/);
    expect(failure).not.toContain("c2VjcmV0");
  });

  test("an empty one holds nothing, as for docker", async () => {
    write(".docker/config.json", "\n");
    write("run/containers/auth.json", { auths: { "a.example": auth("u:p") } });
    const lookup = userCredentials({ XDG_RUNTIME_DIR: join(home, "run") }, home);
    expect(await lookup("a.example", null)).toMatchObject({ username: "u" });
  });
});

describe("a helper", () => {
  test("for a host is asked on standard input and goes before `auths`", async () => {
    helper("fake", found("robot", "s3cret"));
    write(".docker/config.json", { auths: { "a.example": auth("u:p") }, credHelpers: { "a.example": "fake" } });
    expect(await userCredentials({}, home)("a.example", "team/app")).toEqual({
      kind: "basic",
      username: "robot",
      password: "s3cret",
    });
    // Without the service's token in its environment.
    expect(asked()).toEqual(["get a.example []"]);
  });

  test("that answers with <token> gives an identity token", async () => {
    helper("fake", found("<token>", "refresh"));
    write(".docker/config.json", { credHelpers: { "a.example": "fake" } });
    expect(await userCredentials({}, home)("a.example", null)).toMatchObject({ kind: "identity", token: "refresh" });
  });

  test("as store is asked for what `auths` does not hold, Docker Hub under its old address and then its name", async () => {
    helper(
      "store",
      `case "$server" in docker.io) ${found("u", "hub")};; *) echo "credentials not found in native keychain"; exit 1;; esac`,
    );
    write(".docker/config.json", { auths: { "a.example": auth("u:listed") }, credsStore: "store" });
    const lookup = userCredentials({}, home);
    expect(await lookup("a.example", null)).toMatchObject({ password: "listed" });
    expect(await lookup("docker.io", "library/alpine")).toMatchObject({ password: "hub" });
    expect(await lookup("b.example", null)).toBeNull();
    expect(asked()).toEqual(["get https://index.docker.io/v1/ []", "get docker.io []", "get b.example []"]);
  });

  test("is asked for a host under the port that was said at the login, where the host's name leaves it out", async () => {
    helper("own", found("robot", "own"));
    const unknown = `echo "credentials not found in native keychain"; exit 1`;
    helper("store", `case "$server" in b.example:443) ${found("robot", "stored")};; *) ${unknown};; esac`);
    write(".docker/config.json", {
      auths: { "b.example:443": {} },
      credHelpers: { "a.example:443": "own" },
      credsStore: "store",
    });
    const lookup = userCredentials({}, home);
    expect(await lookup("a.example", "team/app")).toMatchObject({ password: "own" });
    expect(await lookup("b.example", "team/app")).toMatchObject({ password: "stored" });
    expect(await lookup("c.example:5000", null)).toBeNull();
    expect(asked()).toEqual([
      "get a.example:443 []",
      "get b.example []",
      "get b.example:443 []",
      "get c.example:5000 []",
    ]);
  });

  // Whatever the helper has started holds its output open.
  test("that does not answer is left at its time's end, though what it started lives on", async () => {
    helper("stuck", "sleep 2; echo late");
    const failure = await askHelper("stuck", "a.example", 50).catch((error: Error) => error.message);
    expect(failure).toMatch(/docker-credential-stuck did not answer within .*try `echo a\.example/);
  });

  test("that has answered is heard, though what it started lives on", async () => {
    helper("starter", `sleep 4 & ${found("u", "p")}`);
    const startedAtMs = performance.now();
    expect(await askHelper("starter", "a.example")).toMatchObject({ username: "u", password: "p" });
    expect(performance.now() - startedAtMs).toBeLessThan(3_000);
  });

  test("that prints without end is left at once, and nothing of it is told", async () => {
    helper("endless", "yes secret");
    const failure = await askHelper("endless", "a.example").catch((error: Error) => error.message);
    expect(failure).toMatch(/docker-credential-endless prints far more/);
    expect(failure).not.toContain("secret");
  });

  test("is asked once for questions close together, and again later", async () => {
    helper("fake", found("u", "p"));
    write(".docker/config.json", { credHelpers: { "a.example": "fake" } });
    let nowMs = 0;
    const lookup = userCredentials({}, home, () => nowMs);
    await Promise.all([lookup("a.example", null), lookup("a.example", "x"), lookup("a.example", "y")]);
    expect(asked()).toHaveLength(1);
    nowMs = 6 * 60_000;
    await lookup("a.example", null);
    expect(asked()).toHaveLength(2);
  });

  test.each([
    ["is missing", "absent", "", /docker-credential-absent is not installed/],
    [
      "fails",
      "fails",
      "echo 'token s3cret is bad' >&2; echo s3cret; exit 3",
      /docker-credential-fails failed for a\.example \(status 3\)/,
    ],
    ["answers something else", "odd", "echo s3cret", /docker-credential-odd did not answer with JSON/],
    ["has a name that is a path", "../evil", "", /not the name of a credential helper/],
  ])("that %s is named, its output is not", async (_name, name, body, words) => {
    if (body !== "") {
      helper(name, body);
    }
    write(".docker/config.json", { credHelpers: { "a.example": name } });
    const failure = await userCredentials({}, home)("a.example", null).catch((error: Error) => error.message);
    expect(failure).toMatch(words);
    expect(failure).not.toContain("s3cret");
  });
});

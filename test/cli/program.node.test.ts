/** The command line as its user meets it: exit statuses, what is said and where, before anything is started. */
import { EventEmitter } from "node:events";
import { createServer as createHttpServer } from "node:http";
import { createServer } from "node:net";
import { mkdtempSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ServiceClient, ServiceError } from "../../src/cli/client.ts";
import { asking } from "../../src/cli/commands/asking.ts";
import { howToAsk } from "../../src/cli/commands/serve.ts";
import { run } from "../../src/cli/program.ts";
import { findServe, openStateFolder } from "../../src/cli/state-folder.ts";
import { newToken, tokenHash } from "../../src/cli/token.ts";
import { listen, shut } from "../support/loopback.ts";

let home: string;

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "drayage-program-"));
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

async function drayage(...argv: string[]): Promise<{ status: number; stdout: string; stderr: string }> {
  const stdout = new PassThrough();
  const stderr = new PassThrough();
  const env = { XDG_CONFIG_HOME: home, XDG_STATE_HOME: home };
  const status = await run(argv, { env, stdout, stderr, stdin: new PassThrough(), signals: new EventEmitter() });
  return { status, stdout: String(stdout.read() ?? ""), stderr: String(stderr.read() ?? "") };
}

describe("wrong use ends with 2, says why on standard error, and starts nothing", () => {
  test.each<[string, string[], RegExp]>([
    ["no command", [], /Usage: drayage/],
    ["an unknown command", ["move", "a", "b"], /unknown command 'move'/],
    ["help of an unknown command", ["help", "cpoy"], /^drayage: unknown command 'cpoy'\n\(Did you mean copy\?\)/],
    ["help of what is like no command", ["help", "nonsense"], /^drayage: unknown command 'nonsense'\nTry/],
    ["help of an unknown command of keys", ["help", "keys", "creat"], /'creat'\n\(Did you mean create\?\)/],
    ["the same, asked of keys", ["keys", "help", "creat"], /'creat'\n\(Did you mean create\?\)/],
    ["an unknown option", ["copy", "a:1", "b:1", "--fast"], /unknown option '--fast'/],
    ["a missing target", ["copy", "a:1"], /missing required argument 'target'/],
    ["one argument too many", ["sync", "a.yaml", "b.yaml"], /too many arguments/],
    ["a malformed further target", ["copy", "a:1", "r.example/b:1", "r.example/c:!"], /TARGET/],
    ["an option without its value", ["copy", "a:1", "b:1", "--ca"], /--ca <file>/],
    ["a malformed source", ["copy", "UPPER//x", "r.example/b:1"], /SOURCE/],
    ["a malformed target", ["copy", "r.example/b:1", "r.example/b:!"], /TARGET/],
    ["a host without a repository", ["copy", "a:1", "127.0.0.1:5000"], /TARGET .*without a repository; write 127/],
    ["a host alone", ["copy", "registry.example.com", "r.example/b"], /SOURCE .*without a repository/],
    ["an archive", ["copy", "a:1", "docker-archive:x.tar"], /TARGET .*from registry to registry only/],
    ["a folder", ["copy", "oci:/tmp/x:v1", "r.example/b:1"], /SOURCE .*from registry to registry only/],
    ["a path", ["copy", "./x.tar", "r.example/b:1"], /SOURCE .*from registry to registry only/],
    ["a bound for nothing", ["copy", "a", "r.example/b", "--prune-max", "3"], /--prune-max .*add --prune delete/],
    ["a CA that is not there", ["copy", "a:1", "r.example/b:1", "--ca", "/none"], /\/none cannot be read/],
    ["a host that is none", ["copy", "a:1", "r.example/b:1", "--plain-http", "http://x"], /not a registry host/],
    ["a server that is no URL", ["copy", "a:1", "r.example/b:1", "--server", "here"], /--server|not a URL/],
    ["a server with a password", ["copy", "a:1", "r.example/b:1", "--server", "http://u:p@h/"], /DRAYAGE_TOKEN/],
    ["a server's CA", ["copy", "a:1", "r.example/b:1", "--server", "http://h/", "--ca", "/x"], /--ca belongs/],
    ["an address of the API as server", ["copy", "a:1", "r.example/b:1", "--server", "http://h/v1"], /leave out \/v1/],
    ["a state folder that is none", ["serve", "--port", "0", "--state", "/dev/null/x"], /choose another with --state/],
    ["a state folder without a name", ["serve", "--port", "0", "--state", ""], /--state is empty/],
    ["an address of another machine", ["serve", "--host", "192.0.2.1"], /192\.0\.2\.1:8585 .*no such address/],
    ["an address that is empty", ["serve", "--host", "", "--port", "0"], /--host is empty/],
    ["a port that is none", ["serve", "--port", "99999"], /0 to 65535/],
    ["a configuration that is not there", ["serve", "--config", "/none"], /\/none cannot be read/],
  ])("%s", async (_name, argv, words) => {
    const ended = await drayage(...argv);
    expect(ended).toMatchObject({ status: 2, stdout: "" });
    expect(ended.stderr).toMatch(words);
    expect(ended.stderr).not.toMatch(/\n\s+at /);
  });

  test("a configuration file with wrong syntax is told with its line", async () => {
    writeFileSync(join(home, "bad.toml"), "\n\n[hosts\n");
    const ended = await drayage("copy", "a:1", "r.example/b:1", "--config", join(home, "bad.toml"));
    expect(ended.status).toBe(2);
    expect(ended.stderr).toMatch(/bad\.toml, line 3/);
  });

  test("serve refuses wrong settings before it starts, by the names that the file has", async () => {
    writeFileSync(
      join(home, "bad.toml"),
      'record_days = 0\n[hosts."r.example"]\ntls = "off"\n[[notifications]]\nname = 3\n',
    );
    const ended = await drayage("serve", "--port", "0", "--config", join(home, "bad.toml"));
    expect(ended).toMatchObject({ status: 2, stdout: "" });
    expect(ended.stderr).toContain('hosts."r.example".tls: use "enabled"');
    expect(ended.stderr).toMatch(/^record_days: /m);
    expect(ended.stderr).toMatch(/^notifications/m);
  });

  test("serve without the key of a receiver says where it belongs here", async () => {
    writeFileSync(join(home, "n.toml"), '[[notifications]]\nname = "ops"\nurl = "https://hooks.example.com/x"\n');
    const ended = await drayage("serve", "--port", "0", "--config", join(home, "n.toml"));
    expect(ended).toMatchObject({ status: 2, stdout: "" });
    expect(ended.stderr).toContain("the environment variable DRAYAGE_NOTIFICATION_SECRETS");
    expect(ended.stderr).not.toContain("wrangler");
  });

  test("a token in the environment that cannot be one is refused and not told", async () => {
    const stderr = new PassThrough();
    const io = {
      env: { DRAYAGE_TOKEN: "dry_se\ncret" },
      stdout: new PassThrough(),
      stderr,
      stdin: new PassThrough(),
      signals: new EventEmitter(),
    };
    expect(await run(["copy", "a:1", "r.example/b:1", "--server", "http://127.0.0.1:9/"], io)).toBe(2);
    const text = String(stderr.read());
    expect(text).toContain("DRAYAGE_TOKEN has characters");
    expect(text).not.toMatch(/dry_|cret/);
  });

  test("--json tells it as one problem object on standard output and nothing else", async () => {
    const ended = await drayage("copy", "--json", "r.example/b:!", "r.example/b:1");
    expect(ended).toMatchObject({ status: 2, stderr: "" });
    expect(JSON.parse(ended.stdout)).toMatchObject({ status: 400, errors: [{ field: "SOURCE" }] });
  });

  test.each<[string[], string, RegExp]>([
    [["copy", "--json", "a:1"], "", /^missing required argument 'target'$/],
    [["copy", "--json", "a:1", "b:1", "--fast"], "--fast", /^unknown option '--fast'/],
    [["sync", "f.yaml", "--parallel", "0", "--json"], "--parallel", /a whole number from 1/],
    [["doctor", "--json", "--checkout", "--server", "http://h/"], "--checkout", /looks at files only/],
  ])("so it does for %j", async (argv, field, words) => {
    const ended = await drayage(...argv);
    expect(ended).toMatchObject({ status: 2, stderr: "" });
    expect(JSON.parse(ended.stdout)).toMatchObject({ status: 400, errors: [{ field }] });
    expect(JSON.parse(ended.stdout)).toHaveProperty("detail", expect.stringMatching(words));
  });
});

test("a question to a service that does not run here is told with the way to start it", async () => {
  const stderr = new PassThrough();
  const io = {
    env: { XDG_STATE_HOME: home },
    stdout: new PassThrough(),
    stderr,
    stdin: new PassThrough(),
    signals: new EventEmitter(),
  };
  const away = new ServiceError({ type: "about:blank", title: "Away", status: 0, detail: "It cannot be reached." });
  expect(await asking({}, io, () => Promise.reject(away))).toBe(1);
  expect(String(stderr.read())).toMatch(/cannot be reached\. Start `drayage serve`.*--server/);
  expect(await asking({ server: "http://h/" }, io, () => Promise.reject(away))).toBe(1);
  expect(String(stderr.read())).toBe("drayage: It cannot be reached.\n");
});

test("a service that does not answer in time is told as that", async () => {
  const stderr = new PassThrough();
  const io = { env: {}, stdout: new PassThrough(), stderr, stdin: new PassThrough(), signals: new EventEmitter() };
  const late = AbortSignal.timeout(0);
  await new Promise((resolve) => late.addEventListener("abort", resolve));
  expect(await asking({ server: "http://h/" }, io, () => Promise.reject(late.reason))).toBe(1);
  expect(String(stderr.read())).toBe("drayage: The service did not answer in time.\n");
});

test.each(["sync", "rules apply"])("%s reads a file from standard input, whenever it comes", async (words) => {
  const [stdout, stderr, stdin] = [new PassThrough(), new PassThrough(), new PassThrough()];
  const ended = run([...words.split(" "), "-"], { env: {}, stdout, stderr, stdin, signals: new EventEmitter() });
  stdin.write("nothing: ");
  await new Promise((resolve) => setImmediate(resolve));
  stdin.end("here");
  expect(await ended).toBe(2);
  expect(String(stderr.read())).toMatch(/standard input.*(no file of copies|has no rules)/);
});

test("serve on a port in use ends with 1 and names the port and the way out", async () => {
  const other = createServer();
  const port = String(await listen(other));
  const ended = await drayage("serve", "--port", port);
  other.close();
  expect(ended).toMatchObject({ status: 1, stdout: "" });
  expect(ended.stderr).toMatch(new RegExp(`^drayage: Port ${port} on 127.0.0.1 is in use.*--port`));
});

describe("help", () => {
  test.each([
    [["--help"], ["drayage copy", "Exit status", "130"]],
    [
      ["copy", "--help"],
      ["--plain-http", "DRAYAGE_TOKEN", "REGISTRY_AUTH_FILE", "Exit status", "NO_COLOR"],
    ],
    [
      ["serve", "--help"],
      ["--port", "8585", "state", "Exit status"],
    ],
    [
      ["keys", "--help"],
      ["create", "list", "revoke", "DRAYAGE_TOKEN"],
    ],
    [
      ["keys", "create", "--help"],
      ["--source", "--target", "--expires", "ghcr.io/acme/**", "registries"],
    ],
    [["help"], ["drayage copy", "Exit status", "130", "help [command...]"]],
    [
      ["help", "copy"],
      ["Usage: drayage copy", "--plain-http"],
    ],
    [
      ["help", "keys", "create"],
      ["Usage: drayage keys create", "--expires"],
    ],
    [["rules", "help", "apply"], ["Usage: drayage rules apply"]],
    [
      ["token", "--help"],
      ["TOKENS", "hash"],
    ],
  ])("of %j goes to standard output, ends with 0 and tells of what matters", async (argv, words) => {
    const ended = await drayage(...argv);
    expect(ended).toMatchObject({ status: 0, stderr: "" });
    for (const word of words) {
      expect(ended.stdout).toContain(word);
    }
  });

  test("the version is printed", async () => {
    expect(await drayage("--version")).toMatchObject({ status: 0, stdout: expect.stringMatching(/^\d+\.\d+\.\d+/) });
  });
});

describe("tokens", () => {
  test("are made with the hash that the service keeps", async () => {
    const { stdout } = await drayage("token");
    const [, token = "", hash] = /^token {2}(\S+)\nhash {3}(\S+)\n$/.exec(stdout) ?? [];
    expect(token).toMatch(/^drayage_[\w-]{43}$/);
    expect(hash).toBe(tokenHash(token));
    expect(newToken()).not.toBe(token);
  });

  test("have the hash of their text", () => {
    expect(tokenHash("abc")).toBe("sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  });
});

test("serve says how to ask it, with its token where the command would not find it", () => {
  const env = { XDG_STATE_HOME: "/s" };
  expect(howToAsk("http://[::1]:1", "/s/drayage/", env)).toBe("drayage copy --server http://[::1]:1 SOURCE TARGET");
  expect(howToAsk("http://h:1", "/s/drayage/", env)).toContain("DRAYAGE_TOKEN=");
  expect(howToAsk("http://h:1", "/other one", env)).toBe(
    `DRAYAGE_TOKEN="$(cat '/other one/token')" drayage copy --server http://h:1 SOURCE TARGET`,
  );
});

describe("the state folder of serve", () => {
  test("is for its user alone, keeps the token, and gives it to the address of this serve only", async () => {
    const folder = join(home, "state");
    const first = await openStateFolder(folder);
    first.announce("http://127.0.0.1:4000");
    expect(first.tokenIsNew).toBe(true);
    expect(statSync(folder).mode & 0o077).toBe(0);
    expect(statSync(join(folder, "token")).mode & 0o777).toBe(0o600);
    const own = { url: "http://127.0.0.1:4000/", token: first.token };
    expect(await findServe(folder, new URL("http://127.0.0.1:4000/"))).toMatchObject(own);
    // Another user may listen on the other addresses of this name.
    expect(await findServe(folder, new URL("http://localhost:4000/"))).toMatchObject(own);
    for (const other of ["http://127.0.0.1:4001/", "http://127.0.0.2:4000/", "http://[::1]:4000/"]) {
      expect(await findServe(folder, new URL(other)), other).toBeNull();
    }
    for (const other of ["http://a.example:4000/", "https://127.0.0.1:4000/"]) {
      expect(await findServe(folder, new URL(other)), other).toBeNull();
    }
    first.release();
    expect(await findServe(folder, new URL("http://127.0.0.1:4000/"))).toBeNull();
    const second = await openStateFolder(folder);
    expect(second).toMatchObject({ token: first.token, tokenIsNew: false });
    second.release();
  });

  test("gives the token to nobody who listens where a killed one did", async () => {
    const folder = join(home, "drayage");
    const killed = await openStateFolder(folder);
    const shown: (string | undefined)[] = [];
    const other = createHttpServer((request, response) => {
      shown.push(request.headers.authorization);
      response.writeHead(401).end();
    });
    const url = `http://127.0.0.1:${await listen(other)}`;
    killed.announce(url);
    const found = await findServe(folder, new URL(url));
    rmSync(join(folder, "lock.sock"));
    await leaveSocket(join(folder, "lock.sock"));
    try {
      expect((await drayage("rules", "list", "--server", url)).stderr).toMatch(/wants a token/);
      const client = new ServiceClient(found ?? { url: "", token: null });
      await expect(client.probe(AbortSignal.timeout(5_000))).rejects.toThrow(/cannot be reached: `drayage serve`/);
      expect(shown).toEqual([undefined]);
    } finally {
      killed.release();
      await shut(other);
    }
  });

  test("says where it listens once it is sure of that, which is waited for, and until it is about to end", async () => {
    const folder = join(home, "state");
    const state = await openStateFolder(folder);
    const finding = findServe(folder, new URL("http://127.0.0.1:4000/"));
    await new Promise((resolve) => setImmediate(resolve));
    state.announce("http://127.0.0.1:4000");
    const found = await finding;
    expect(await found?.isThere()).toBe(true);
    state.withdraw();
    expect(await found?.isThere()).toBe(false);
    state.release();
  });

  test("keeps no token that nobody was shown: a start that failed leaves the next one to show it", async () => {
    const folder = join(home, "state");
    (await openStateFolder(folder)).release();
    const second = await openStateFolder(folder);
    expect(second.tokenIsNew).toBe(true);
    second.release();
  });

  test("is refused while another has it, and free again after", async () => {
    const folder = join(home, "state");
    const first = await openStateFolder(folder);
    await expect(openStateFolder(folder)).rejects.toThrow(/another `drayage serve` uses/);
    first.release();
    (await openStateFolder(folder)).release();
  });

  test("is taken over from one that was killed and left its socket", async () => {
    const folder = join(home, "state");
    (await openStateFolder(folder)).release();
    writeFileSync(join(folder, "lock.sock"), "");
    (await openStateFolder(folder)).release();
  });

  test.each(["free", "left by one that was killed"])(
    "is given to one only of many who want it at once, %s",
    async (how) => {
      const folder = join(home, "state");
      (await openStateFolder(folder)).release();
      if (how !== "free") {
        await leaveSocket(join(folder, "lock.sock"));
      }
      const opened = await Promise.allSettled(Array.from({ length: 5 }, () => openStateFolder(folder)));
      const [winner, ...others] = opened.flatMap((each) => (each.status === "fulfilled" ? [each.value] : []));
      expect(others).toEqual([]);
      await expect(openStateFolder(folder)).rejects.toThrow(/another `drayage serve` uses/);
      winner?.release();
      expect(readdirSync(folder)).toEqual([]);
      (await openStateFolder(folder)).release();
    },
  );
});

/** A socket that nobody listens on any more. */
async function leaveSocket(path: string): Promise<void> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(path, done));
  // At its end it takes away what has its name.
  renameSync(path, `${path}.old`);
  await new Promise((done) => server.close(done));
  renameSync(`${path}.old`, path);
}

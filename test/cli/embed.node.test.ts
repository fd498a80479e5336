/** The service in plain workerd: what reaches it, what it leaves behind, how it ends. */
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { CredentialLookup } from "../../src/cli/credentials/lookup.ts";
import type { Artifact } from "../../src/cli/embed/artifact.ts";
import { certificatesOf } from "../../src/cli/embed/config-text.ts";
import { serveCredentials } from "../../src/cli/credentials/server.ts";
import { startEmbedded, type Embedded, type EmbedOptions } from "../../src/cli/embed/embed.ts";
import { listen, shut } from "../support/loopback.ts";
import { stubArtifact } from "./stub-service.ts";

let artifact: Artifact;
beforeAll(async () => {
  artifact = await stubArtifact();
});
afterAll(() => rmSync(artifact.folder, { recursive: true, force: true }));

function start(changes: Partial<EmbedOptions> = {}): Promise<Embedded> {
  return startEmbedded({
    stateFolder: null,
    listen: "127.0.0.1:0",
    settings: { hosts: {} },
    tokenHashes: [],
    trustedCertificates: [],
    credentials: () => Promise.resolve(null),
    onLine: () => undefined,
    artifact,
    ...changes,
  });
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** The folder of a running workerd, from its command line. */
function scratchFolderOf(pid: number): string {
  const [, folder = ""] =
    /(\/\S+)\/workerd\.capnp/.exec(readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ")) ?? [];
  return folder;
}

/** Those of starts that are under way elsewhere too. */
function scratchFolders(): string[] {
  return [tmpdir(), "/dev/shm"]
    .filter(existsSync)
    .flatMap((root) => readdirSync(root).map((name) => join(root, name)))
    .filter((path) => /\/drayage-[^-]+$/.test(path));
}

describe("the Worker's questions for credentials", () => {
  const lookup: CredentialLookup = (host, repository) => {
    if (host === "broken.example") {
      return Promise.reject(new Error("the credential helper docker-credential-x is not installed"));
    }
    if (host === "token.example") {
      return Promise.resolve({ kind: "identity", token: "t", username: "<token>" });
    }
    return Promise.resolve(host === "a.example" ? { kind: "basic", username: repository ?? "", password: "p" } : null);
  };

  test.each([
    ["a.example&repository=team/app", 200, { username: "team/app", password: "p" }],
    ["token.example", 200, { identityToken: "t", username: "<token>" }],
    ["none.example", 204, null],
    ["broken.example", 500, { error: "the credential helper docker-credential-x is not installed" }],
  ])("%s is answered with %i", async (query, status, body) => {
    const embedded = await start({ credentials: lookup });
    try {
      const response = await fetch(`http://127.0.0.1:${embedded.port}/credentials?host=${query}`);
      expect(response.status).toBe(status);
      expect(status === 204 ? null : await response.json()).toEqual(body);
    } finally {
      await embedded.stop();
    }
  });

  test("need a socket: a path that is too long for one is an error like any other", async () => {
    await expect(serveCredentials(join(tmpdir(), "x".repeat(200)), lookup)).rejects.toThrow(/EINVAL|ENAMETOOLONG/);
  });
});

test("a registry with a certificate of a private CA is trusted when told so, and only then", async () => {
  const folder = mkdtempSync(join(tmpdir(), "drayage-ca-"));
  const [key, certificate] = [join(folder, "key.pem"), join(folder, "cert.pem")];
  const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"];
  const files = ["-keyout", key, "-out", certificate];
  execFileSync("openssl", ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", ...subject, ...files], {
    stdio: "ignore",
  });
  const pem = readFileSync(certificate, "utf8");
  const registry = createServer({ key: readFileSync(key), cert: pem }, (_request, response) => response.end("secure"));
  const url = `https://localhost:${await listen(registry)}/`;
  const [trusting, doubting] = await Promise.all([start({ trustedCertificates: certificatesOf(pem) }), start()]);
  try {
    const ask = (port: number): Promise<Response> =>
      fetch(`http://127.0.0.1:${port}/secure`, { headers: { "x-url": url } });
    expect(await (await ask(trusting.port)).text()).toBe("secure");
    expect((await ask(doubting.port)).status).toBe(500);
  } finally {
    await Promise.all([trusting.stop(), doubting.stop()]);
    await shut(registry);
    rmSync(folder, { recursive: true, force: true });
  }
});

describe("the end", () => {
  test("leaves no process and no folder, which was for this user alone", async () => {
    const embedded = await start();
    const folder = scratchFolderOf(embedded.pid);
    expect(statSync(folder).mode & 0o077).toBe(0);
    await embedded.stop();
    expect(isRunning(embedded.pid)).toBe(false);
    expect(existsSync(folder)).toBe(false);
    await embedded.stop();
  });

  test("comes with the last words of a runtime that does not start", async () => {
    const broken = mkdtempSync(join(tmpdir(), "drayage-broken-"));
    writeFileSync(join(broken, "worker.mjs"), "this is no module");
    writeFileSync(join(broken, "broker.mjs"), "");
    try {
      await expect(start({ artifact: { ...artifact, folder: broken } })).rejects.toThrow(
        /did not start: [\s\S]*SyntaxError/,
      );
    } finally {
      rmSync(broken, { recursive: true, force: true });
    }
  });

  test("leaves no folder either where the start does not come as far as the runtime", async () => {
    const file = join(artifact.folder, "worker.mjs");
    const before = scratchFolders();
    await expect(start({ stateFolder: file })).rejects.toThrow(/EEXIST/);
    const made = scratchFolders().filter((folder) => !before.includes(folder));
    await expect.poll(() => made.filter(existsSync), { timeout: 10_000 }).toEqual([]);
  });

  test("of a runtime that is killed is told", async () => {
    const embedded = await start();
    process.kill(embedded.pid, "SIGKILL");
    expect(await embedded.died).toMatch(/ended with SIGKILL/);
    await embedded.stop();
  });

  test.runIf(process.platform === "linux")(
    "of the command, even by SIGKILL, is the runtime's and its folder's",
    async () => {
      const script = fileURLToPath(new URL("./embed-parent.ts", import.meta.url));
      const parent = spawn(process.execPath, [script, JSON.stringify(artifact)], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      const pid = await new Promise<number>((resolve) => {
        parent.stdout.on("data", (data) => resolve(Number(/started (\d+)/.exec(String(data))?.[1])));
      });
      const folder = scratchFolderOf(pid);
      expect(isRunning(pid)).toBe(true);
      parent.kill("SIGKILL");
      await expect.poll(() => isRunning(pid) || existsSync(folder)).toBe(false);
    },
  );
});

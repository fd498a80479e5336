/** Why a registry was not reached: looked for with real sockets, and put into words. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer as createHttpServer } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, test, vi } from "vitest";
import type { ErrorDetail } from "../../src/registry/errors.ts";
import { allExplained, explained, explainWith } from "../../src/cli/unreached/explain.ts";
import { look } from "../../src/cli/unreached/look.ts";
import { findingText, type Address, type Finding } from "../../src/cli/unreached/words.ts";
import { listen, shut } from "../support/loopback.ts";
import { selfSigned, type KeyPair } from "../support/self-signed.ts";

/** Far beyond what an answer on loopback takes. */
const PATIENCE_MS = 10_000;

let own: KeyPair;
let others: KeyPair;

beforeAll(() => {
  own = selfSigned("DNS:localhost,IP:127.0.0.1");
  others = selfSigned("DNS:registry.example.com");
});

function at(port: number, tls: boolean, name = "127.0.0.1"): Address {
  return { host: `${name}:${port}`, name, port, tls };
}

function found(address: Address, certificates: string[] = [], limitMs = PATIENCE_MS): Promise<Finding | null> {
  return look(address, { certificates, limitMs, signal: new AbortController().signal });
}

/** What a server of HTTPS with this key is found to be. */
async function foundSecure(pair: KeyPair, trusted: string[] = []): Promise<Finding | null> {
  const server = createHttpsServer(pair, (_request, response) => response.end());
  const port = await listen(server);
  try {
    return await found(at(port, true), trusted);
  } finally {
    await shut(server);
  }
}

/** A port on which something listened, and nothing does any more. */
async function closedPort(): Promise<number> {
  const server = createHttpServer();
  const port = await listen(server);
  await shut(server);
  return port;
}

/** With a server that does no more than `takes` with its connections. */
async function withListener<T>(takes: (socket: Socket) => void, use: (port: number) => Promise<T>): Promise<T> {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on("error", () => undefined);
    takes(socket);
  });
  try {
    return await use(await listen(server));
  } finally {
    sockets.forEach((socket) => socket.destroy());
    server.close();
  }
}

describe("a look at a host", () => {
  test("finds that there is no host of the name", async () => {
    expect(await found(at(443, true, "nothing.invalid"))).toEqual({ kind: "unknown-name" });
  });

  test("finds a port that nothing listens on", async () => {
    const port = await closedPort();
    expect(await found(at(port, true))).toEqual({ kind: "refused", addresses: ["127.0.0.1"] });
    expect(await found(at(port, false))).toEqual({ kind: "refused", addresses: ["127.0.0.1"] });
  });

  test.each([true, false])("finds that nobody answers a connection (TLS: %s)", async (tls) => {
    const finding = await withListener(
      () => undefined,
      (port) => found(at(port, tls), [], 200),
    );
    expect(finding).toEqual({ kind: "silent", stage: "answer", limitMs: 200 });
  });

  test.each([true, false])("finds that connections are hung up (TLS: %s)", async (tls) => {
    const finding = await withListener(
      (socket) => socket.destroy(),
      (port) => found(at(port, tls)),
    );
    expect(finding).toEqual({ kind: "hung-up" });
  });

  test("ends without a finding when nobody waits for it any longer", async () => {
    const given = new AbortController();
    const finding = await withListener(
      () => given.abort(),
      (port) => look(at(port, true), { certificates: [], limitMs: PATIENCE_MS, signal: given.signal }),
    );
    expect(finding).toBeNull();
  });

  test("finds plain HTTP in place of HTTPS, and nothing where plain HTTP is expected", async () => {
    const server = createHttpServer((_request, response) => response.writeHead(404).end());
    const port = await listen(server);
    try {
      expect(await found(at(port, true))).toEqual({ kind: "plain" });
      expect(await found(at(port, false))).toBeNull();
    } finally {
      await shut(server);
    }
  });

  test("finds HTTPS in place of plain HTTP", async () => {
    const server = createHttpsServer(own, (_request, response) => response.end());
    const port = await listen(server);
    try {
      expect(await found(at(port, false))).toEqual({ kind: "secure" });
    } finally {
      await shut(server);
    }
  });

  test("takes no server of HTTPS that cannot agree on TLS for one of plain HTTP", async () => {
    const finding = await withListener(
      (socket) => socket.once("data", () => socket.end("HTTP/1.0 400 Bad Request\r\n\r\nTLS only\n")),
      (port) => found(at(port, true)),
    );
    expect(finding).toEqual({ kind: "hung-up" });
  });

  test("finds a self-signed certificate, unless it is trusted", async () => {
    expect(await foundSecure(own)).toMatchObject({ kind: "certificate", problem: "DEPTH_ZERO_SELF_SIGNED_CERT" });
    expect(await foundSecure(own, [own.cert])).toBeNull();
  });

  test.each([
    ["SSL_CERT_FILE", "own.pem", "own.pem"],
    ["SSL_CERT_DIR", "", "0a1b2c3d.0"],
  ])("trusts what the machine trusts, by %s", async (variable, named, file) => {
    const folder = await mkdtemp(join(tmpdir(), "drayage-trusted-"));
    await writeFile(join(folder, file), own.cert);
    vi.stubEnv(variable, join(folder, named));
    try {
      expect(await foundSecure(own)).toBeNull();
      expect(await foundSecure(others)).toMatchObject({ kind: "certificate" });
    } finally {
      vi.unstubAllEnvs();
      await rm(folder, { recursive: true });
    }
  });

  test("finds a certificate for another name", async () => {
    expect(await foundSecure(others, [others.cert])).toMatchObject({
      problem: "ERR_TLS_CERT_ALTNAME_INVALID",
      certificate: { names: "DNS:registry.example.com" },
    });
  });
});

const CERTIFICATE = { issuer: "Acme CA", names: "DNS:a.example", validFrom: "May  1 2020", validTo: "Jun  1 2020" };

test.each<[Finding, RegExp]>([
  [{ kind: "unknown-name" }, /^There is no host of the name r\.example\.$/],
  [{ kind: "no-lookup", code: "EAI_AGAIN" }, /r\.example cannot be looked up now \(EAI_AGAIN\)/],
  [{ kind: "refused", addresses: ["10.0.0.1"] }, /^Nothing listens at r\.example:5000: .* refused \(10\.0\.0\.1\)\.$/],
  [{ kind: "no-way", code: "EHOSTUNREACH", addresses: ["10.0.0.1"] }, /r\.example:5000 .*EHOSTUNREACH \(10\.0\.0\.1\)/],
  [{ kind: "silent", stage: "lookup", limitMs: 3_000 }, /name r\.example was not looked up within 3 s/],
  [{ kind: "silent", stage: "connect", limitMs: 3_000 }, /does not answer within 3 s: no connection/],
  [{ kind: "silent", stage: "answer", limitMs: 3_000 }, /takes the connection, but does not answer within 3 s/],
  [{ kind: "hung-up" }, /hangs up before TLS/],
  [{ kind: "plain" }, /speaks plain HTTP there, not HTTPS: .*--plain-http r\.example:5000/],
  [{ kind: "secure" }, /speaks HTTPS there, .*tls = "enabled" .*\[hosts\."r\.example:5000"\]/],
  [certificateOf("DEPTH_ZERO_SELF_SIGNED_CERT"), /self-signed: name it with --ca FILE/],
  [certificateOf("UNABLE_TO_GET_ISSUER_CERT_LOCALLY"), /who has signed it \(Acme CA\): .*--ca FILE/],
  [certificateOf("CERT_HAS_EXPIRED"), /ended on Jun {2}1 2020/],
  [certificateOf("CERT_NOT_YET_VALID"), /begins on May {2}1 2020; check this machine's clock/],
  [certificateOf("ERR_TLS_CERT_ALTNAME_INVALID"), /is for DNS:a\.example, not for r\.example/],
  [certificateOf("CERT_REVOKED"), /not trusted: CERT_REVOKED/],
])("%o is said in words", (finding, words) => {
  expect(findingText(finding, at(5000, true, "r.example"))).toMatch(words);
});

function certificateOf(problem: string): Finding {
  return { kind: "certificate", problem, certificate: CERTIFICATE };
}

describe("an error", () => {
  const signal = new AbortController().signal;

  function errorAt(host: string, more: Partial<ErrorDetail> = {}): ErrorDetail {
    const message = `${host} could not be reached or hung up ("look up manifest"); tried 6 times`;
    return { code: "connection", side: "source", host, operation: "", retryable: true, message, ...more };
  }

  test("of a connection gets the sentence, and keeps everything else", async () => {
    const host = `127.0.0.1:${await closedPort()}`;
    const view = { id: "c", error: errorAt(host) };
    const told = await explained(view, explainWith({ hosts: {} }, []), signal);
    expect(told).toEqual({
      id: "c",
      error: {
        ...view.error,
        message: `${view.error.message}. Nothing listens at ${host}: the connection is refused.`,
      },
    });
  });

  test("is looked into where the host's settings say that it is", async () => {
    const port = await closedPort();
    const hosts = { "registry.example.com": { hostname: `127.0.0.1:${port}`, tls: "enabled" } };
    const error = errorAt("registry.example.com", { message: `127.0.0.1:${port} could not be reached` });
    expect(await explainWith({ hosts }, [])(error, signal)).toContain(`Nothing listens at 127.0.0.1:${port}`);
  });

  test("of another kind, of another host, or of a host that answers stays as it is", async () => {
    const host = `127.0.0.1:${await closedPort()}`;
    const explain = explainWith({ hosts: {} }, []);
    expect(await explain(errorAt(host, { code: "denied" }), signal)).toBeNull();
    const brokeOff = `${host}/app broke off while sending: connection reset`;
    expect(await explain(errorAt(host, { message: brokeOff }), signal)).toBeNull();
    const server = createHttpServer((_request, response) => response.end());
    const port = await listen(server);
    try {
      const view = { error: errorAt(`127.0.0.1:${port}`) };
      expect(await explained(view, explain, signal)).toBe(view);
    } finally {
      await shut(server);
    }
  });

  test("of a host that did not answer in time gets the sentence too", async () => {
    const host = `127.0.0.1:${await closedPort()}`;
    const message = `${host} did not answer within 30 s ("look up manifest")`;
    const explain = explainWith({ hosts: {} }, []);
    expect(await explain(errorAt(host, { code: "stalled", message }), signal)).toContain(`Nothing listens at ${host}`);
    const slow = `${host}/app sent nothing for 60 s (blob sha256:1)`;
    expect(await explain(errorAt(host, { code: "stalled", message: slow }), signal)).toBeNull();
  });

  test.each(["1 of 3 tags failed, v1", "2 of 3 tags failed, the first of them v1"])(
    "of a repository's tag gets the sentence: %s",
    async (words) => {
      const host = `127.0.0.1:${await closedPort()}`;
      const message = `${words}: ${host} could not be reached or hung up ("push manifest")`;
      expect(await explainWith({ hosts: {} }, [])(errorAt(host, { message }), signal)).toContain("Nothing listens at");
    },
  );

  test("of a token endpoint is looked into there", async () => {
    const realm = `127.0.0.1:${await closedPort()}`;
    const error = errorAt("registry.example.com", {
      message: `${realm} could not be reached or hung up ("authorize")`,
    });
    const explain = explainWith({ hosts: {} }, []);
    expect(await explain(error, signal)).toBe(`Nothing listens at ${realm}: the connection is refused.`);
    const server = createHttpServer((_request, response) => response.end());
    const plain = `127.0.0.1:${await listen(server)}`;
    try {
      const message = `${plain} could not be reached or hung up ("authorize")`;
      expect(await explain({ ...error, message }, signal)).toBe(
        `${plain} speaks plain HTTP, not HTTPS, as which the registry names it.`,
      );
    } finally {
      await shut(server);
    }
  });

  test("of a token endpoint that a registry of plain HTTP names is explained as far as its protocol does not matter", async () => {
    const explain = explainWith({ hosts: { "registry.example.com": { tls: "disabled" } } }, []);
    const toldOf = (realm: string): Promise<string | null> => {
      const message = `${realm} could not be reached or hung up ("authorize")`;
      return explain(errorAt("registry.example.com", { message }), signal);
    };
    expect(await toldOf(`127.0.0.1:${await closedPort()}`)).toMatch(/^Nothing listens at/);
    expect(await toldOf("127.0.0.1")).toBeNull();
    const server = createHttpsServer(own, (_request, response) => response.end());
    try {
      expect(await toldOf(`127.0.0.1:${await listen(server)}`)).toBeNull();
    } finally {
      await shut(server);
    }
  });

  test("is looked into once for each host", async () => {
    let connections = 0;
    await withListener(
      (socket) => {
        connections += 1;
        socket.end("HTTP/1.1 200 OK\r\n\r\n");
      },
      async (port) => {
        const explain = explainWith({ hosts: {} }, []);
        const tags = [1, 2, 3].map(() => ({ error: errorAt(`127.0.0.1:${port}`) }));
        await allExplained(tags, explain, signal);
      },
    );
    // One to see whether it takes connections, one to see what it answers.
    expect(connections).toBe(2);
  });
});

import { describe, expect, test } from "vitest";
import {
  hostSettings,
  isLocal,
  clientReach,
  logLevel,
  queueSettings,
  reachRefusal,
  settingsOf,
  tokenHashes,
  type SettingsEnv,
} from "../../src/config.ts";

const HASH = `sha256:${"0123456789abcdef".repeat(4)}`;

function complaint(env: SettingsEnv): string {
  try {
    settingsOf(env);
  } catch (thrown) {
    expect(thrown).toMatchObject({ name: "CopyError", detail: { code: "configuration", retryable: false } });
    return thrown instanceof Error ? thrown.message : "";
  }
  return "";
}

describe("settings of a host", () => {
  test.each([
    ["ghcr.io", "ghcr.io", "enabled"],
    ["docker.io", "registry-1.docker.io", "enabled"],
    ["registry.example.com:5000", "registry.example.com:5000", "enabled"],
    ["localhost:5000", "localhost:5000", "disabled"],
    ["127.0.0.1:5001", "127.0.0.1:5001", "disabled"],
    ["127.9.9.9", "127.9.9.9", "disabled"],
    ["[::1]:5000", "[::1]:5000", "disabled"],
    ["128.0.0.1", "128.0.0.1", "enabled"],
  ])("%s is reached at %s, TLS %s, unless configured otherwise", (host, hostname, tls) => {
    expect(hostSettings({}, host)).toEqual({
      host,
      hostname,
      tls,
      pathPrefix: "",
      reqConcurrent: 0,
      reqPerSec: 0,
      quotaReserve: 0,
      chunkBytes: 0,
      verify: "stream",
      mirrors: [],
    });
  });

  test("every field can be configured, under any spelling of the host", () => {
    const HOSTS = {
      "index.docker.io": {
        tls: "disabled",
        hostname: "mirror.example.com:8080",
        path_prefix: "/hub/",
        req_concurrent: 6,
        req_per_sec: 0.5,
        quota_reserve: 40,
        chunk_bytes: "16MiB",
        verify: "target",
        mirrors: ["Mirror.example.com:5000", "harbor.example.com/hub/"],
      },
    };
    expect(hostSettings({ HOSTS }, "docker.io")).toEqual({
      host: "docker.io",
      hostname: "mirror.example.com:8080",
      tls: "disabled",
      pathPrefix: "hub",
      reqConcurrent: 6,
      reqPerSec: 0.5,
      quotaReserve: 40,
      chunkBytes: 16 * 1024 * 1024,
      verify: "target",
      mirrors: ["mirror.example.com:5000", "harbor.example.com/hub"],
    });
  });

  test("JSON text is read like the object it holds", () => {
    const HOSTS = JSON.stringify({ "ghcr.io": { chunk_bytes: 5_242_880 } });
    expect(hostSettings({ HOSTS }, "ghcr.io").chunkBytes).toBe(5_242_880);
    expect(tokenHashes({ TOKENS: JSON.stringify([HASH]) })).toEqual([
      Uint8Array.from({ length: 32 }, (_, index) => [0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef][index % 8] ?? 0),
    ]);
  });

  test("the port that its scheme has anyway is no part of a host's name", () => {
    expect(hostSettings({ HOSTS: { "ghcr.io:443": { req_concurrent: 3 } } }, "ghcr.io")).toMatchObject({
      host: "ghcr.io",
      hostname: "ghcr.io",
      reqConcurrent: 3,
    });
  });

  test.each([
    ["plain.example.com", "443", "disabled"],
    ["localhost", "80", "enabled"],
  ])("with the other scheme %s is still reached at port %s", (host, port, tls) => {
    const settings = hostSettings({ HOSTS: { [`${host}:${port}`]: { tls } } }, host);
    expect(settings).toMatchObject({ host, hostname: `${host}:${port}`, tls });
  });

  test("other settings are read anew", () => {
    expect(hostSettings({ HOSTS: { "ghcr.io": { req_concurrent: 3 } } }, "ghcr.io").reqConcurrent).toBe(3);
    expect(hostSettings({ HOSTS: { "ghcr.io": { req_concurrent: 4 } } }, "ghcr.io").reqConcurrent).toBe(4);
  });
});

describe("wrong settings are refused with field and fix", () => {
  test("a mirror that may not be used", () => {
    const HOSTS = { "ghcr.io": { mirrors: ["m.example.com/hub", "n.example.com"] } };
    const ALLOWED_REGISTRIES = "ghcr.io,n.example.com";
    expect(complaint({ HOSTS, ALLOWED_REGISTRIES })).toBe(
      'HOSTS."ghcr.io".mirrors: m.example.com/hub is not among ALLOWED_REGISTRIES; add its host there',
    );
  });

  test("text with nothing in it is as good as none, as of every setting", () => {
    expect(complaint({ HOSTS: "", TOKENS: "", OIDC: "", ACCESS: "", ALLOWED_REGISTRIES: "", RECORD_DAYS: "" })).toBe(
      "",
    );
  });

  test.each<[unknown, string]>([
    [{ "ghcr.io": { constructor: 3 } }, 'HOSTS."ghcr.io".constructor: unknown field; the fields are tls'],
    [{ "ghcr.io": { req_concurent: 3 } }, 'HOSTS."ghcr.io".req_concurent: unknown field; did you mean req_concurrent?'],
    [{ "ghcr.io": { reqPerSec: 3 } }, 'HOSTS."ghcr.io".reqPerSec: unknown field; did you mean req_per_sec?'],
    [
      { "ghcr.io": { pass: "x" } },
      'HOSTS."ghcr.io".pass: unknown field; credentials go into the secrets DOCKER_CONFIG or',
    ],
    [{ "ghcr.io": { colour: 1 } }, 'HOSTS."ghcr.io".colour: unknown field; the fields are tls, hostname, path_prefix'],
    [{ "ghcr.io": { tls: "insecure" } }, 'HOSTS."ghcr.io".tls: certificates are always checked'],
    [{ "ghcr.io": { tls: true } }, 'HOSTS."ghcr.io".tls: use "enabled" (HTTPS) or "disabled" (plain HTTP)'],
    [{ "ghcr.io": { hostname: "https://ghcr.io" } }, 'HOSTS."ghcr.io".hostname: is not a host name'],
    [{ "ghcr.io": { path_prefix: "../x" } }, 'HOSTS."ghcr.io".path_prefix: use repository path components'],
    [{ "ghcr.io": { req_concurrent: "3" } }, 'HOSTS."ghcr.io".req_concurrent: a whole number from 0 (no cap) to 64'],
    [{ "ghcr.io": { req_concurrent: -1 } }, 'HOSTS."ghcr.io".req_concurrent: use 0 for no cap'],
    [{ "ghcr.io": { req_concurrent: 65 } }, 'HOSTS."ghcr.io".req_concurrent: use at most 64'],
    [{ "ghcr.io": { req_per_sec: -0.1 } }, 'HOSTS."ghcr.io".req_per_sec: use 0 for no cap'],
    [{ "ghcr.io": { chunk_bytes: 1 } }, 'HOSTS."ghcr.io".chunk_bytes: use 0 (one piece), or a size from 64KiB'],
    [{ "ghcr.io": { chunk_bytes: "16MB" } }, 'HOSTS."ghcr.io".chunk_bytes: use 0 (one piece), or a size from 64KiB'],
    [{ "ghcr.io": { verify: "never" } }, 'HOSTS."ghcr.io".verify: use "stream"'],
    [{ "ghcr.io": { mirrors: "m.example.com" } }, 'HOSTS."ghcr.io".mirrors: a list of hosts is needed'],
    [{ "ghcr.io": { mirrors: ["https://m.example.com"] } }, "is no mirror; write its host, or host/prefix"],
    [{ "ghcr.io": { mirrors: ["m.example.com/Hub"] } }, '"m.example.com/Hub" is no mirror'],
    [{ "ghcr.io": { mirrors: ["m.example.com", "m.example.com/"] } }, "mirrors: names one of them twice"],
    [{ "docker.io": { mirrors: ["index.docker.io"] } }, 'HOSTS."docker.io".mirrors: names docker.io itself'],
    [{ "ghcr.io": { mirrors: ["a.io", "b.io", "c.io", "d.io", "e.io", "f.io"] } }, "mirrors: name at most 5"],
    [{ "ghcr.io.": {} }, 'HOSTS."ghcr.io.": not a host name'],
    [{ "my_registry:5000": {} }, 'HOSTS."my_registry:5000": not a host name'],
    [{ "ghcr.io": { mirrors: [`${"a".repeat(64)}.${"b.".repeat(100)}io`] } }, "is no mirror"],
    [{ "https://ghcr.io": {} }, 'HOSTS."https://ghcr.io": not a host name'],
    [{ "docker.io": {}, "index.docker.io": {} }, 'HOSTS."index.docker.io": names docker.io a second time'],
    [{ "ghcr.io": {}, "ghcr.io:443": {} }, 'HOSTS."ghcr.io:443": names ghcr.io a second time'],
    [{ "ghcr.io": { mirrors: ["ghcr.io:443"] } }, 'HOSTS."ghcr.io".mirrors: names ghcr.io itself'],
    [{ "ghcr.io": 3 }, 'HOSTS."ghcr.io": the host\'s settings are needed'],
    [[], "HOSTS: a table of settings by registry host is needed"],
    ["{", "HOSTS: is not JSON"],
  ])("HOSTS = %j", (HOSTS, expected) => {
    expect(complaint({ HOSTS })).toContain(expected);
  });

  test.each<[unknown, string]>([
    [["secret-token"], "TOKENS[0]: use the sha256:… line"],
    [[HASH.toUpperCase()], "TOKENS[0]: use the sha256:… line"],
    [{}, "TOKENS: a list of hashes is needed"],
    ["sha256:", "TOKENS: is not JSON"],
  ])("TOKENS = %j", (TOKENS, expected) => {
    const message = complaint({ TOKENS });
    expect(message).toContain(expected);
    expect(message).not.toContain("secret-token");
  });

  test("a password in a mirror's address is not repeated", () => {
    const message = complaint({ HOSTS: { "ghcr.io": { mirrors: ["me:mark-password@mirror.example.com"] } } });
    expect(message).toContain('HOSTS."ghcr.io".mirrors[0]: is no mirror');
    expect(message).not.toContain("mark-password");
  });

  test("all complaints come at once", () => {
    const message = complaint({ HOSTS: { "a.example": { tls: 1, verfy: "target" } }, TOKENS: [1] });
    expect(message.split("\n").map((line) => line.split(":")[0])).toEqual([
      'HOSTS."a.example".tls',
      'HOSTS."a.example".verfy',
      "TOKENS[0]",
    ]);
  });

  test("wrong hosts do not keep the door from being opened or closed", () => {
    expect(tokenHashes({ HOSTS: 1, TOKENS: [HASH] })).toHaveLength(1);
  });
});

describe("what may be reached", () => {
  const HOSTS = {
    "plain.example.com": { tls: "disabled" },
    "both.example.com": { tls: "disabled" },
    "both.example.com:80": { tls: "disabled", req_concurrent: 2 },
    "eighty.example.com": { tls: "disabled", hostname: "eighty.example.com:80" },
    "docker.io": { hostname: "hub.example.com:8443" },
    "registry.example.com:5000": {},
    "inside.example.com": { hostname: "10.0.0.1" },
  };

  test.each<[string, string | null]>([
    ["ghcr.io", null],
    ["docker.io", null],
    ["registry.example.com:5000", null],
    ["registry.example.com:443", null],
    ["plain.example.com", null],
    ["plain.example.com:80", "is plain.example.com, which is reached at that port anyway; leave the port out"],
    ["both.example.com:80", null],
    ["registry.example.com:5001", "is at port 5001"],
    ["registry.example.com:22", 'add HOSTS."registry.example.com:22"'],
    ["inside.example.com", "is an IP address"],
    ["localhost:5000", "is this machine itself"],
    ["LOCALHOST.", "is this machine itself"],
    ["0x7f.1", "is this machine itself"],
    ["[::ffff:127.0.0.1]", "is this machine itself"],
    ["1.1.1.1", "is an IP address"],
    ["registry:5000", "is a single-label name"],
    ["registry.internal.", "ends with .internal"],
    ["user@ghcr.io", "is not a host name"],
    ["ghcr.io/x", "is not a host name"],
    ["ghcr.io:0", "is not a host name"],
    ["", "is not a host name"],
  ])("host %j: %s", (host, refusal) => {
    const answer = reachRefusal({ HOSTS }, host);
    expect(answer).toEqual(refusal === null ? null : expect.stringContaining(refusal));
  });

  test("an issuer of tokens is reached at its own port, and at that of its keys", () => {
    const scopes = { sources: ["**"], targets: ["**"], actions: ["copy"] };
    const issuer = { issuer: "https://id.example.com:8443", audience: "x", rules: [{ claims: { sub: "x" }, scopes }] };
    const OIDC = [{ ...issuer, jwks_uri: "https://keys.example.com:9443/jwks" }];
    for (const url of ["https://id.example.com:8443/.well-known", "https://keys.example.com:9443/jwks"]) {
      expect(reachRefusal({ OIDC }, new URL(url))).toBeNull();
      expect(reachRefusal({}, new URL(url))).toContain("which no host settings name");
    }
    expect(reachRefusal({ OIDC }, new URL("https://id.example.com:9443/"))).toContain("is at port 9443");
  });

  test.each<[string, string | null]>([
    ["https://auth.docker.io/token?service=x", null],
    ["https://auth.docker.io:443/token", null],
    ["https://hub.example.com:8443/v2/", null],
    ["https://registry.example.com:5000/v2/", null],
    ["http://plain.example.com/v2/", null],
    ["http://eighty.example.com/v2/", null],
    ["http://ghcr.io/v2/", "is plain HTTP"],
    ["http://plain.example.com:81/", "is plain HTTP"],
    ["https://ghcr.io:8443/", "is at port 8443"],
  ])("URL %s: %s", (url, refusal) => {
    const answer = reachRefusal({ HOSTS }, new URL(url));
    expect(answer).toEqual(refusal === null ? null : expect.stringContaining(refusal));
  });

  test("a registry has one name on the user's own machine too", () => {
    expect(reachRefusal({ HOSTS, LOCAL: "true" }, "plain.example.com:80")).toContain("leave the port out");
  });

  test.each(["http://127.0.0.1:5001/v2/", "https://10.0.0.1/", "http://registry:5000/v2/"])(
    "%s is reached from the user's own machine",
    (url) => {
      expect(reachRefusal({ LOCAL: "true" }, new URL(url))).toBeNull();
      expect(reachRefusal({ LOCAL: "true" }, new URL(url).host)).toBeNull();
    },
  );

  test.each([
    ["true", true],
    ["false", false],
    ["1", false],
    [undefined, false],
  ])("LOCAL=%s: %s", (LOCAL, local) => {
    expect(isLocal(LOCAL === undefined ? {} : { LOCAL })).toBe(local);
  });
});

describe("the registries that are allowed", () => {
  test.each<[unknown, string[], string[]]>([
    [undefined, ["ghcr.io", "quay.io"], []],
    ["", ["ghcr.io"], []],
    [["ghcr.io"], ["ghcr.io"], ["quay.io", "x.ghcr.io", "ghcr.io.example.com", "ghcr-io.example"]],
    ['["ghcr.io"]', ["ghcr.io"], ["quay.io"]],
    ["ghcr.io, index.docker.io", ["ghcr.io", "docker.io"], ["quay.io"]],
    [["*.azurecr.io"], ["a.azurecr.io", "a.b.azurecr.io"], ["azurecr.io", "xazurecr.io"]],
    [["*-docker.pkg.dev"], ["europe-docker.pkg.dev"], ["a.b-docker.pkg.dev", "pkg.dev"]],
    [
      ["*.dkr.ecr.*.amazonaws.com"],
      ["1.dkr.ecr.eu-west-1.amazonaws.com"],
      ["1.dkr.ecr.a.b.amazonaws.com", "1.dkr.ecr.x.amazonaws.com.example.com"],
    ],
    [["*"], ["ghcr.io"], []],
    [["*.azurecr.io:443"], ["a.azurecr.io"], []],
    [["*:443"], [], ["ghcr.io"]],
  ])("%j", (ALLOWED_REGISTRIES, allowed, refused) => {
    const refusals = (hosts: string[]) => hosts.map((host) => reachRefusal({ ALLOWED_REGISTRIES }, host));
    expect(refusals(allowed)).toEqual(allowed.map(() => null));
    expect(refusals(refused)).toEqual(refused.map(() => expect.stringContaining("ALLOWED_REGISTRIES")));
  });

  test("bind the client of a registry, not the stores and token endpoints that the registry leads to", () => {
    const env = { ALLOWED_REGISTRIES: ["ghcr.io"] };
    expect(clientReach(env, "ghcr.io")(new URL("https://store.example.com/x"))).toBeNull();
    expect(clientReach(env, "ghcr.io")(new URL("https://10.0.0.1/x"))).toContain("IP address");
    expect(clientReach(env, "quay.io")(new URL("https://quay.io/v2/"))).toContain("ALLOWED_REGISTRIES");
    expect(clientReach({ ...env, LOCAL: "true" }, "quay.io")(new URL("https://quay.io/v2/"))).toContain("ALLOWED");
  });

  test.each<[unknown, string]>([
    [[], "ALLOWED_REGISTRIES: names no registry"],
    [{}, "ALLOWED_REGISTRIES: a list of registry hosts is needed"],
    [["https://ghcr.io"], "ALLOWED_REGISTRIES[0]: write a host"],
    [["ghcr.io/team"], "ALLOWED_REGISTRIES[0]: write a host"],
    ["[", "ALLOWED_REGISTRIES: is not JSON"],
  ])("%j is refused", (ALLOWED_REGISTRIES, expected) => {
    expect(complaint({ ALLOWED_REGISTRIES })).toContain(expected);
  });
});

describe("the queue's settings", () => {
  test.each([
    [{}, { policy: "drayage", maxWaitMs: null }],
    [
      { QUEUE_POLICY: "", MAX_WAIT_SECONDS: "" },
      { policy: "drayage", maxWaitMs: null },
    ],
    [
      { QUEUE_POLICY: "fifo", MAX_WAIT_SECONDS: 30 },
      { policy: "fifo", maxWaitMs: 30_000 },
    ],
    [
      { QUEUE_POLICY: "upstream", MAX_WAIT_SECONDS: "86400" },
      { policy: "upstream", maxWaitMs: 86_400_000 },
    ],
  ])("%j", (env, expected) => {
    expect(queueSettings(env)).toEqual(expected);
    expect(settingsOf(env).queue).toEqual(expected);
  });

  test.each([
    [{ QUEUE_POLICY: "drayag" }, 'QUEUE_POLICY: "drayag" is not a policy; did you mean drayage?'],
    [{ QUEUE_POLICY: 3 }, "QUEUE_POLICY: 3 is not a policy; use one of drayage, upstream, fifo, largest"],
    [{ MAX_WAIT_SECONDS: 0 }, "MAX_WAIT_SECONDS: a whole number of seconds from 1 to 86400 is needed"],
    [{ MAX_WAIT_SECONDS: "ten" }, "MAX_WAIT_SECONDS: a whole number of seconds from 1 to 86400 is needed"],
    [{ HOSTS: { "ghcr.io": { quota_reserve: -1 } } }, 'HOSTS."ghcr.io".quota_reserve: use 0 to keep none back'],
    [
      { HOSTS: { "ghcr.io": { quota_reserve: "20" } } },
      'HOSTS."ghcr.io".quota_reserve: a whole number of requests is needed; 0 keeps none back',
    ],
  ])("%j is refused", (env, expected) => {
    expect(complaint(env)).toBe(expected);
  });
});

test.each([
  [undefined, "info"],
  ["", "info"],
  ["info", "info"],
  ["error", "error"],
])("with LOG_LEVEL %o the log has what is of level %s", (given, level) => {
  expect(logLevel({ LOG_LEVEL: given })).toBe(level);
});

test.each(["debug", 1, true, []])("LOG_LEVEL may not be %o", (given) => {
  expect(() => settingsOf({ LOG_LEVEL: given })).toThrow(/LOG_LEVEL: "info" .* or "error" is needed/);
});

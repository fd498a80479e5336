import { describe, expect, it } from "vitest";
import { kindOf } from "../../src/registry/address.ts";
import { reachProblem, urlRefusal, type ReachRule } from "../../src/registry/reach.ts";
import { HOSTILE, UNREADABLE } from "./hostile-addresses.ts";

const PUBLIC = "https://ghcr.io/";
const LOCAL = "http://127.0.0.1:5000/";

describe("where a registry may lead its client", () => {
  it.each<[string, string]>([
    [PUBLIC, "https://objects.example.com/blob?sig=1"],
    [PUBLIC, "https://ghcr.io:8443/x"],
    [PUBLIC, "https://93.184.216.34/x"],
    [PUBLIC, "https://[2606:4700::1]/x"],
    [PUBLIC, "https://172.32.0.1/x"],
    [LOCAL, "http://localhost:9000/x"],
    [LOCAL, "http://[::1]/x"],
    [LOCAL, "http://10.1.2.3/x"],
    [LOCAL, "https://storage.example.com/x"],
    ["https://registry:5000/", "https://minio:9000/x"],
    ["https://registry.corp.example/", "https://registry.corp.example:9000/x"],
    ["http://169.254.1.1/", "http://169.254.1.1/x"],
  ])("from %s to %s: allowed", (registry, target) => {
    expect(reachProblem(new URL(target), new URL(registry))).toBeNull();
  });

  it.each<[string, string, string]>([
    [PUBLIC, "http://ghcr.io/x", "plain HTTP"],
    [PUBLIC, "ftp://ghcr.io/x", "scheme"],
    [PUBLIC, "data:,x", "scheme"],
    [PUBLIC, "https://me:secret@example.com/x", "user information"],
    [PUBLIC, "https://localhost/x", "private network"],
    [PUBLIC, "https://a.localhost./x", "private network"],
    [PUBLIC, "https://127.0.0.1/x", "private network"],
    [PUBLIC, "https://2130706433/x", "private network"],
    [PUBLIC, "https://0x7f.1/x", "private network"],
    [PUBLIC, "https://10.0.0.1/x", "private network"],
    [PUBLIC, "https://172.16.0.1/x", "private network"],
    [PUBLIC, "https://192.168.1.1/x", "private network"],
    [PUBLIC, "https://100.64.0.1/x", "private network"],
    [PUBLIC, "https://0.0.0.0/x", "private network"],
    [PUBLIC, "https://[::1]/x", "private network"],
    [PUBLIC, "https://[::ffff:127.0.0.1]/x", "private network"],
    [PUBLIC, "https://[fd00::1]/x", "private network"],
    [PUBLIC, "https://[64:ff9b::10.0.0.1]/x", "private network"],
    [PUBLIC, "https://[2002:a00:1::]/x", "private network"],
    [PUBLIC, "https://10.0.0.1.nip.io/x", "private network"],
    [PUBLIC, "https://metadata.tencentyun.com/x", "link-local"],
    [PUBLIC, "https://vault/x", "private network"],
    [PUBLIC, "https://db.internal/x", "private network"],
    [PUBLIC, "https://169.254.169.254/latest/meta-data", "link-local"],
    [PUBLIC, "https://[fe80::1]/x", "link-local"],
    [LOCAL, "http://169.254.169.254/latest/meta-data", "link-local"],
    [LOCAL, "http://[::ffff:169.254.169.254]/x", "link-local"],
  ])("from %s to %s: refused, %s", (registry, target, problem) => {
    expect(reachProblem(new URL(target), new URL(registry))).toContain(problem);
  });
});

describe("what a deployed service calls", () => {
  const rule: ReachRule = { local: false, named: ["registry.example:5000"], plain: ["plain.example"] };

  it.each([
    "https://ghcr.io/v2/",
    "https://cdn.example:443/x?sig=@10.0.0.1",
    "https://registry.example:5000/v2/",
    "https://REGISTRY.example:5000/v2/",
    "http://plain.example/v2/",
    "http://plain.example:80/v2/",
    "https://internal.example.com/x",
    "https://localhost.example.com/x",
    "https://10.0.0.1.example.com/x",
    "https://bücher.example/x",
  ])("%s", (url) => {
    expect(urlRefusal(new URL(url), rule)).toBeNull();
  });

  it.each(HOSTILE)("never %s", (url, reason) => {
    const refusal = urlRefusal(new URL(url), rule);
    expect(refusal).toMatch(reason);
    expect(refusal).not.toMatch(/word|user@/);
  });

  it.each(UNREADABLE)("nor %s, which is no address", (url) => {
    expect(URL.canParse(url)).toBe(false);
  });

  it("on the user's own machine calls what is there, but no other scheme and nobody in front of a host", () => {
    const local = { ...rule, local: true };
    const refused = HOSTILE.filter(([url]) => urlRefusal(new URL(url), local) !== null).map(([url]) => new URL(url));
    expect(
      refused.every(({ protocol, username, password }) => !/^https?:$/.test(protocol) || username || password),
    ).toBe(true);
    expect(refused).toHaveLength(12);
  });
});

describe("the kind of a host", () => {
  it.each([
    ["172.15.255.255", "public"],
    ["172.31.255.255", "private"],
    ["192.0.1.1", "public"],
    ["192.0.2.1", "private"],
    ["[2001:db8::1]", "private"],
    ["[2001:4860:4860::8888]", "public"],
    ["[2002:808:808::1]", "public"],
    ["[64:ff9b::8.8.8.8]", "public"],
    ["[fe80::1]", "link"],
    ["[febf::1]", "link"],
    ["[::ffff:169.254.0.1]", "link"],
    ["168.63.129.16", "link"],
    ["168.63.129.17", "public"],
  ])("%s is %s", (host, nearness) => {
    expect(kindOf(new URL(`https://${host}/`).hostname).nearness).toBe(nearness);
  });
});

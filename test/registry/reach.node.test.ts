import { describe, expect, it } from "vitest";
import { reachProblem } from "../../src/registry/reach.ts";

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

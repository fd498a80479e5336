/** Which registries a copy may name: refused at the door, by the name of the field, before anything is asked. */
import { describe, expect, test } from "vitest";
import { copyRequestOf } from "../../src/api/copy-request.ts";
import { Problem, statusOf } from "../../src/api/problem.ts";
import type { SettingsEnv } from "../../src/config.ts";

const GOOD = "ghcr.io/acme/app:v1";

function refusedFields(source: string, target: string, env: SettingsEnv): { field: string; message: string }[] {
  try {
    copyRequestOf({ source, target }, env, 0);
  } catch (thrown) {
    if (thrown instanceof Problem && statusOf(thrown.kind) === 422) {
      return [...thrown.errors];
    }
    throw thrown;
  }
  return [];
}

describe("a copy from or to", () => {
  test.each([
    "localhost/app:v1",
    "localhost:5000/app:v1",
    "127.0.0.1:5000/app:v1",
    "127.1/app:v1",
    "2130706433:443/app:v1",
    "0x7f.0.0.1/app:v1",
    "017700000001:443/app:v1",
    "[::1]:5000/app:v1",
    "[::ffff:10.0.0.1]/app:v1",
    "10.0.0.1/app:v1",
    "169.254.169.254/latest/meta-data",
    "metadata.google.internal/computemetadata/v1",
    "METADATA.google.INTERNAL/computemetadata/v1",
    "registry:5000/app:v1",
    "registry.local/app:v1",
    "vault.corp/app:v1",
    "127.0.0.1.nip.io/app:v1",
    "ghcr.io:22/app:v1",
    "ghcr.io:8443/app:v1",
    "user:word@ghcr.io/app:v1",
    "https://ghcr.io/app:v1",
    "ghcr.io./app:v1",
    "ｇhcr.io/app:v1",
    "127。0。0。1/app:v1",
  ])("%s is refused", (reference) => {
    expect(refusedFields(reference, GOOD, {}).map(({ field }) => field)).toEqual(["source"]);
    expect(refusedFields(GOOD, reference, {}).map(({ field }) => field)).toEqual(["target"]);
  });

  test("both that are wrong is told of both at once", () => {
    const fields = refusedFields("localhost/app:v1", "10.0.0.1/app:v1", {}).map(({ field }) => field);
    expect(fields).toEqual(["source", "target"]);
  });

  test("a registry that is not among ALLOWED_REGISTRIES is refused, with the setting's name", () => {
    const env = { ALLOWED_REGISTRIES: ["ghcr.io", "*.azurecr.io"] };
    expect(refusedFields(GOOD, "team.azurecr.io/app:v1", env)).toEqual([]);
    expect(refusedFields(GOOD, "quay.io/acme/app:v1", env)).toEqual([
      { field: "target", message: "the host quay.io is not among the registries of ALLOWED_REGISTRIES" },
    ]);
    expect(refusedFields("alpine", GOOD, env)).toMatchObject([{ field: "source" }]);
  });

  test("this machine's own registries is what a service on it is for", () => {
    expect(refusedFields("127.0.0.1:5000/app:v1", "registry:5000/app:v1", { LOCAL: "true" })).toEqual([]);
  });

  test("a port that the settings name is allowed", () => {
    const env = { HOSTS: { "registry.example.com:5000": {} } };
    expect(refusedFields("registry.example.com:5000/app:v1", GOOD, env)).toEqual([]);
  });
});

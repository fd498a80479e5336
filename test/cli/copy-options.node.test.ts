import { Command } from "commander";
import { expect, test } from "vitest";
import { ServiceError } from "../../src/cli/client.ts";
import { inOptionsWords } from "../../src/cli/commands/option-names.ts";
import { addChoices, choicesOf, type CopyChoices } from "../../src/cli/commands/copy-options.ts";

function bodyFrom(...args: string[]) {
  const command = addChoices(new Command("copy").exitOverride().configureOutput({ writeErr: () => undefined }));
  return { source: "a", target: "b", ...choicesOf(command.parse(args, { from: "user" }).opts<CopyChoices>()) };
}

test("without options only source and target are sent", () => {
  expect(bodyFrom()).toEqual({ source: "a", target: "b" });
  expect(bodyFrom("--keep-going")).toEqual({ source: "a", target: "b" });
});

test("what the service says of a field is told in the words of the options", () => {
  const errors = [
    { field: "tags.include.0", message: "is not a valid regular expression" },
    { field: "targets.1", message: "is the same as targets.0; name each once" },
    { field: "backup_tag", message: 'needs "existing": "backup"' },
    { field: "index", message: "needs platforms; without them an index is copied whole" },
    { field: "", message: "is too much" },
  ];
  const refusal = new ServiceError({ type: "urn:x", title: "No", status: 422, detail: "", errors });
  expect(inOptionsWords(refusal)).toMatchObject({
    problem: {
      detail: [
        "--tags: is not a valid regular expression",
        "TARGET 2: is the same as TARGET 1; name each once",
        "--backup-tag: needs --existing backup",
        "--index: needs --platform; without it an index is copied whole",
        "is too much",
      ].join("\n"),
    },
  });
});

test("every option has its field", () => {
  expect(
    bodyFrom(
      "--tags",
      "v.*",
      "--tags",
      "w.*",
      "--exclude",
      "x",
      "--immutable",
      "y",
      "--semver",
      ">=1",
      "--latest",
      "3",
      "--latest-by",
      "creation",
      "--newer-than",
      "30d",
      "--target-tag",
      "m-{tag}",
      "--existing",
      "backup",
      "--backup-tag",
      "{tag}-old",
      "--prune",
      "delete",
      "--prune-max",
      "7",
      "--dry-run",
      "--fail-fast",
      "--deep",
      "--include-foreign",
      "--background",
    ),
  ).toEqual({
    source: "a",
    target: "b",
    tags: {
      include: ["v.*", "w.*"],
      exclude: ["x"],
      immutable: ["y"],
      semver: ">=1",
      latest: 3,
      latest_by: "creation",
      newer_than: "30d",
    },
    target_tag: "m-{tag}",
    existing: "backup",
    backup_tag: "{tag}-old",
    prune: { max: 7, dry_run: false },
    dry_run: true,
    fail_fast: true,
    deep: true,
    include_foreign: true,
    priority: "background",
  });
});

test.each([
  ["a number that is none", ["--latest", "few"]],
  ["a policy that is none", ["--existing", "maybe"]],
  ["a way to prune that is none", ["--prune", "yes"]],
])("%s is refused", (_name, args) => {
  expect(() => bodyFrom(...args)).toThrow(/--(latest|existing|prune)/);
});

test.each<[string[], object]>([
  [["--platform", "linux/amd64", "--platform", "linux/arm64"], { platforms: ["linux/amd64", "linux/arm64"] }],
  [["--platform", "linux/amd64", "--index", "single"], { platforms: ["linux/amd64"], index: "single" }],
  [["--media-type", "a/b", "--media-type", "c/d"], { media_types: ["a/b", "c/d"] }],
  [["--referrers"], { referrers: true }],
  [["--referrers", "--artifact-type", "a/b"], { referrers: { artifact_types: ["a/b"] } }],
  [["--artifact-type", "a/b", "--artifact-type", "c/d"], { referrers: { artifact_types: ["a/b", "c/d"] } }],
  [["--digest-tags"], { digest_tags: true }],
])("platforms, media types and attached things: %j", (args, fields) => {
  expect(bodyFrom(...args)).toEqual({ source: "a", target: "b", ...fields });
});

import { describe, expect, it } from "vitest";
import { survey } from "../../src/ledger/survey.ts";
import { errorDetailOf } from "../../src/registry/errors.ts";
import { MAX_REPOSITORIES } from "../../src/registry/whole-catalog.ts";

/** A registry that lists these names, so many on a page. */
function catalogOf(names: readonly string[], size = 2) {
  const asked: (string | null)[] = [];
  const page = async (cursor: string | null) => {
    asked.push(cursor);
    const from = cursor === null ? 0 : Number(cursor.slice(1));
    const next = from + size < names.length ? `?${from + size}` : null;
    return { repositories: names.slice(from, from + size), next };
  };
  return { page, asked };
}

const NAMES = ["other/app", "team/api", "team/deep/web", "team", "team/UPPER", "team/api", "teams/x", "team/../x"];

describe("a look through a registry", () => {
  it.each([
    ["a.example/team/**", ["team/api", "team/deep/web"]],
    ["a.example/team/*", ["team/api"]],
    ["a.example/**", ["other/app", "team/api", "team/deep/web", "team", "teams/x"]],
    ["a.example/nobody/**", []],
  ])("for %s finds whole names, each once, and no name that none can have", async (source, found) => {
    const { page, asked } = catalogOf(NAMES);
    expect(await survey(source, page)).toEqual({ repositories: found });
    expect(asked).toEqual([null, "?2", "?4", "?6"]);
  });

  const failure = async (source: string, page: Parameters<typeof survey>[1]) =>
    errorDetailOf(await survey(source, page).catch((thrown: unknown) => thrown));

  it("that goes in a circle is broken off", async () => {
    const page = async () => ({ repositories: ["team/a"], next: "?again" });
    expect(await failure("a.example/**", page)).toMatchObject({
      code: "unsupported",
      message: expect.stringContaining("circle"),
    });
  });

  it("that never ends is broken off", async () => {
    let pages = 0;
    const page = async () => ({ repositories: [], next: `?${(pages += 1)}` });
    expect((await failure("a.example/**", page)).message).toContain("too many");
    expect(pages).toBeLessThan(2_000);
  });

  it("keeps no more names than it may start copies of", async () => {
    const names = Array.from({ length: MAX_REPOSITORIES + 1 }, (_, at) => `team/app-${at}`);
    const { page } = catalogOf(names, 1_000);
    expect((await failure("a.example/team/*", page)).message).toContain("narrow it");
    expect((await survey("a.example/team/app-1*", page)).repositories.length).toBeLessThan(MAX_REPOSITORIES);
  });
});

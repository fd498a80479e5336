/** docs/sync.schema.json: up to date, and of the same mind as the command about what is right. */
import { readFileSync } from "node:fs";
import { Validator } from "@cfworker/json-schema";
import { describe, expect, test } from "vitest";
import { CopyRequestSchema } from "../../src/api/copy-request-schema.ts";
import { OwnFileSchema, ownJsonSchema } from "../../src/cli/sync-file/own-schema.ts";

test("the schema in the documents is the one of the code; `npm run schema` writes it anew", () => {
  expect(JSON.parse(readFileSync("docs/sync.schema.json", "utf8"))).toEqual(ownJsonSchema());
});

test("a copy in a file has every field of the API's", () => {
  const { copies } = OwnFileSchema.shape;
  expect(Object.keys(copies.element.shape)).toEqual(expect.arrayContaining(Object.keys(CopyRequestSchema.shape)));
});

describe("editors and the command agree", () => {
  const one = { source: "a.example/b", target: "c.example/b" };
  test.each<[string, boolean, unknown]>([
    ["the least", true, { version: 1, copies: [one] }],
    [
      "everything",
      true,
      { $schema: "x", version: 1, defaults: { existing: "skip", tags: { latest: 1 } }, copies: [one] },
    ],
    ["an expression, or several", true, { version: 1, copies: [{ ...one, tags: { include: "a", exclude: ["b"] } }] }],
    ["several targets", true, { version: 1, copies: [{ source: "a.example/b", targets: ["c.example/b"] }] }],
    ["no version", false, { copies: [one] }],
    ["no copies", false, { version: 1, copies: [] }],
    ["no target", false, { version: 1, copies: [{ source: "a.example/b" }] }],
    ["target and targets", false, { version: 1, copies: [{ ...one, targets: ["d.example/b"] }] }],
    ["an unknown field", false, { version: 1, copies: [{ ...one, tgas: {} }] }],
    ["an unknown policy", false, { version: 1, defaults: { existing: "keep" }, copies: [one] }],
    ["defaults with a source", false, { version: 1, defaults: { source: "a.example/b" }, copies: [one] }],
  ])("on %s: %s", (_name, right, value) => {
    const schema: unknown = JSON.parse(readFileSync("docs/sync.schema.json", "utf8"));
    if (typeof schema !== "object" || schema === null) {
      throw new Error("no schema");
    }
    expect(new Validator(schema, "2020-12").validate(value).valid).toBe(right);
    expect(OwnFileSchema.safeParse(value).success).toBe(right);
  });
});

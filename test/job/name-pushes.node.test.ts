import { expect, test } from "vitest";
import { NamePushes } from "../../src/job/name-pushes.ts";

test("two pushes of one name are waited for both, and the name is told once", () => {
  const pushes = new NamePushes();
  pushes.begin("v1");
  pushes.begin("v1");
  pushes.begin("v2");
  pushes.end("v1", true);
  pushes.end("v2", true);
  expect([pushes.any, pushes.unclear]).toEqual([true, ["v1"]]);
  pushes.end("v1", false);
  expect([pushes.any, pushes.unclear]).toEqual([false, ["v1"]]);
  pushes.begin("v1");
  expect(pushes.unclear).toEqual(["v1"]);
});

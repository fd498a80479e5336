/** Who finds an address of the index, and what looking for one costs that is not there. */
import { env } from "cloudflare:workers";
import { runInDurableObject } from "cloudflare:test";
import { expect, test } from "vitest";
import { ROOT } from "../../src/access/contract.ts";
import { hashOfPathPart } from "../../src/hooks/path-part.ts";
import { Keys } from "../../src/ledger/keys.ts";
import { Rules } from "../../src/ledger/rules.ts";

const index = env.INDEX.getByName("hooks");

async function rule(name: string, push: { from: string } | { settings: { sender: "auto" }; pathHash: string } | null) {
  await index.putRule({
    name,
    body: "{}",
    plan: {
      source: "source.example/team/**",
      target: { host: "target.example", repository: "{repository}" },
      choices: {},
      newerThan: null,
      priority: "normal",
      schedule: null,
    },
    enabled: true,
    push,
    by: ROOT,
    condition: { kind: "none" },
    dryRun: false,
  });
}

test("only the name with its own part finds who listens; everything else reads as little as a name that is none", async () => {
  const right = await hashOfPathPart("right");
  await rule("one", { settings: { sender: "auto" }, pathHash: right });
  await rule("two", { from: "one" });
  await rule("silent", null);
  const found = await index.findHook("one", right);
  expect(found?.listeners.map((each) => each.rule)).toEqual(["one", "two"]);

  const wrong = await hashOfPathPart("wrong");
  const cases = [
    ["one", wrong],
    ["two", right],
    ["silent", right],
    ["nobody", right],
  ] as const;
  const statements = await runInDurableObject(index, (_, { storage }) => {
    let asked = 0;
    // The same rows, with every question to them counted.
    const counting = new Proxy(storage.sql, {
      get: (sql, name) =>
        name === "exec"
          ? (...query: Parameters<SqlStorage["exec"]>) => {
              asked += 1;
              return sql.exec(...query);
            }
          : Reflect.get(sql, name),
    });
    const rules = new Rules(counting, new Keys(storage.sql));
    return cases.map(([name, hash]) => {
      asked = 0;
      expect(rules.hook(name, hash)).toBeNull();
      return asked;
    });
  });
  expect(statements).toEqual([1, 1, 1, 1]);
});

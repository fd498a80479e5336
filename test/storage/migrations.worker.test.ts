import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import { migrate } from "../../src/storage/migrations.ts";

/** Runs in the storage of an object of its own, as if none of its own steps had run. */
function inStorage<T>(name: string, use: (storage: DurableObjectStorage) => T): Promise<T> {
  return runInDurableObject(env.INDEX.getByName(`migrations-${name}`), (_, { storage }) => {
    storage.sql.exec("DROP TABLE _migrations");
    return use(storage);
  });
}

const FIRST = "CREATE TABLE things (name TEXT); INSERT INTO things VALUES ('one')";
const SECOND = "ALTER TABLE things ADD COLUMN size INTEGER; INSERT INTO things VALUES ('two', 2)";

test("each step runs once, in order, however often it is called", async () => {
  const rows = await inStorage("steps", (storage) => {
    migrate(storage, [FIRST]);
    migrate(storage, [FIRST]);
    migrate(storage, [FIRST, SECOND]);
    migrate(storage, [FIRST, SECOND]);
    return storage.sql.exec("SELECT name, size FROM things ORDER BY name").toArray();
  });
  expect(rows).toEqual([
    { name: "one", size: null },
    { name: "two", size: 2 },
  ]);
});

test("a step that fails leaves nothing of any step behind", async () => {
  await inStorage("failing", (storage) => {
    expect(() => migrate(storage, [FIRST, "CREATE TABLE other (a); INSERT INTO missing VALUES (1)"])).toThrow(
      "missing",
    );
    expect(() => storage.sql.exec("SELECT * FROM things")).toThrow("no such table");
    migrate(storage, [FIRST, SECOND]);
    expect(storage.sql.exec("SELECT count(*) AS count FROM things").one()).toEqual({ count: 2 });
  });
});

test("storage of a newer version is left alone", async () => {
  await inStorage("newer", (storage) => {
    migrate(storage, [FIRST, SECOND]);
    expect(() => migrate(storage, [FIRST])).toThrow("at version 2, this service knows 1");
  });
});

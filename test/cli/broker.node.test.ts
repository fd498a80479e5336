/** The local queue in real workerd: nothing is lost, nothing is delivered in a tight circle, many at once. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, expect, test } from "vitest";
import { StubService } from "./stub-service.ts";

let service: StubService;

beforeEach(async () => {
  service = await StubService.create();
  await service.start();
});

afterEach(() => service.close());

/** Rows of the broker's own storage, read beside the running process. */
function rows(sql: string): unknown[] {
  const folder = join(service.stateFolder, "Broker");
  const file = readdirSync(folder).find((name) => name.endsWith(".sqlite") && !name.startsWith("metadata"));
  const database = new DatabaseSync(join(folder, file ?? ""), { readOnly: true });
  try {
    return database.prepare(sql).all();
  } finally {
    database.close();
  }
}

test("a message is delivered once and gone when its consumer has ended well", async () => {
  await service.send({ body: "one" });
  const delivery = await service.next();
  expect(delivery).toMatchObject({ body: "one", attempts: 1 });
  delivery.answer("ack");
  await expect.poll(() => rows("SELECT * FROM messages")).toEqual([]);
});

test("a message under delivery when workerd is killed is delivered again, its attempt counted", async () => {
  await service.send({ body: "under way" });
  const first = await service.next();
  await service.kill();
  await service.start();
  const second = await service.next();
  expect(second).toMatchObject({ id: first.id, body: "under way", attempts: 2 });
});

test("a message under delivery when the service is ended on purpose is delivered again, and that counts as no attempt", async () => {
  await service.send({ body: "under way" });
  const first = await service.next();
  for (let restart = 1; restart <= 7; restart += 1) {
    await service.stop();
    await service.start();
    expect(await service.next()).toMatchObject({ id: first.id, attempts: 1 });
  }
  expect(rows("SELECT * FROM dead_letters")).toEqual([]);
});

test("a message that waits when workerd is killed is delivered after the restart", async () => {
  await service.send({ body: "later", delaySeconds: 1 });
  await service.kill();
  await service.start();
  expect(await service.next()).toMatchObject({ body: "later", attempts: 1 });
});

test("the delay of a send is kept", async () => {
  const sentAtMs = Date.now();
  await service.send({ body: "later", delaySeconds: 1 });
  expect((await service.next()).atMs - sentAtMs).toBeGreaterThanOrEqual(1_000);
});

test("a retry waits as long as its consumer asked, and counts", async () => {
  await service.send({ body: "again" });
  (await service.next()).answer("retry", 1);
  const answeredAtMs = Date.now();
  const second = await service.next();
  expect(second.attempts).toBe(2);
  expect(second.atMs - answeredAtMs).toBeGreaterThanOrEqual(990);
});

test("a consumer that throws is not called again at once", async () => {
  await service.send({ body: "boom" });
  (await service.next()).answer("throw");
  const thrownAtMs = Date.now();
  const second = await service.next();
  expect(second).toMatchObject({ body: "boom", attempts: 2 });
  expect(second.atMs - thrownAtMs).toBeGreaterThanOrEqual(990);
});

test("after five retries a message is a dead letter with its reason", async () => {
  await service.send({ body: "hopeless" });
  for (let attempt = 1; attempt <= 6; attempt += 1) {
    const delivery = await service.next();
    expect(delivery.attempts).toBe(attempt);
    delivery.answer("retry", 0);
  }
  await expect
    .poll(() => rows("SELECT attempts, reason, body FROM dead_letters"))
    .toEqual([{ attempts: 6, reason: "the consumer asked for a retry", body: '"hopeless"' }]);
  expect(rows("SELECT * FROM messages")).toEqual([]);
});

test("a message that takes the process down each time is a dead letter in the end", async () => {
  await service.send({ body: "deadly" });
  for (let attempt = 1; attempt <= 6; attempt += 1) {
    expect(await service.next()).toMatchObject({ body: "deadly", attempts: attempt });
    await service.kill();
    await service.start();
  }
  expect(rows("SELECT attempts, reason, body FROM dead_letters")).toEqual([
    { attempts: 6, reason: "no delivery came to an end", body: '"deadly"' },
  ]);
  expect(rows("SELECT * FROM messages")).toEqual([]);
});

test("64 messages are under delivery at once, the 65th when one has ended", async () => {
  await service.send(...Array.from({ length: 65 }, (_, index) => ({ body: `m${index}` })));
  const deliveries = [];
  for (let index = 0; index < 64; index += 1) {
    deliveries.push(await service.next());
  }
  expect(new Set(deliveries.map(({ id }) => id)).size).toBe(64);
  const last = service.next();
  expect(rows("SELECT count(*) AS waiting FROM messages WHERE taken = 0")).toEqual([{ waiting: 1 }]);
  deliveries[0]?.answer("ack");
  expect(deliveries.map(({ body }) => body)).not.toContain((await last).body);
});

test("a delivery that lasts longer than an idle object lives is not broken off", async () => {
  await service.send({ body: "long" });
  const delivery = await service.next();
  // Real seconds: the clock that throws idle objects out of memory after ten of them is workerd's own.
  await new Promise((resolve) => setTimeout(resolve, 12_000));
  delivery.answer("ack");
  await expect.poll(() => rows("SELECT * FROM messages")).toEqual([]);
});

test("the start of a consumer follows its send within milliseconds", async () => {
  const delays: number[] = [];
  const trips: number[] = [];
  for (let index = 0; index < 21; index += 1) {
    const sentAtMs = performance.now();
    const sent = service.send({ body: "quick" });
    const delivery = await service.next();
    delays.push(performance.now() - sentAtMs);
    delivery.answer("ack");
    await sent;
    const askedAtMs = performance.now();
    await (await fetch(`http://127.0.0.1:${service.port}/credentials?host=registry.example`)).text();
    trips.push(performance.now() - askedAtMs);
  }
  // With two HTTP requests of the test's own around it. A busy machine takes longer for those without a queue as well.
  expect(median(delays)).toBeLessThan(Math.max(25, 15 * median(trips)));
});

function median(values: number[]): number {
  return values.toSorted((left, right) => left - right)[(values.length - 1) / 2] ?? Number.NaN;
}

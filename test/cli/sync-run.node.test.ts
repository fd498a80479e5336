/** Copies of one run that ask at once for the room of few: whoever is refused waits for those of its own that have it. */
import { expect, test } from "vitest";
import { ServiceClient, ServiceError, type CopyBody } from "../../src/cli/client.ts";
import { SyncRun, type Outcome } from "../../src/cli/commands/sync-run.ts";
import { NO_MANY_DISPLAY } from "../../src/cli/display/many.ts";
import type { CopyView } from "../../src/job/contract.ts";
import { SUCCEEDED, view } from "./views.ts";

interface Asked {
  source: string;
  accept(): void;
  refuse(status: number): void;
}

/** Answers when the test says so. */
class HeldClient extends ServiceClient {
  /** In the order in which they were asked. */
  readonly asked: Asked[] = [];
  readonly ends = new Map<string, () => void>();

  constructor() {
    super({ url: "http://127.0.0.1:1/", token: null });
  }

  override create({ source }: CopyBody): Promise<CopyView> {
    return new Promise((resolve, reject) => {
      const accept = (): void => resolve(view({ id: source }));
      const refuse = (status: number): void =>
        reject(new ServiceError({ type: "about:blank", title: "No", status, detail: "No." }));
      this.asked.push({ source, accept, refuse });
    });
  }

  override follow(id: string): Promise<CopyView> {
    return new Promise((resolve) => this.ends.set(id, () => resolve({ ...SUCCEEDED, id })));
  }
}

function started(sources: string[]): { client: HeldClient; ended: Promise<Outcome[]> } {
  const client = new HeldClient();
  const run = new SyncRun(client, NO_MANY_DISPLAY, {}, new AbortController().signal);
  const copies = sources.map((source) => ({ body: { source, target: "b.example/x:1" }, path: [] }));
  return { client, ended: run.all(copies, () => undefined) };
}

/** Lets everything go on that waits for nothing outside. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function states(outcomes: Outcome[]): string[] {
  return outcomes.map((outcome) => outcome.view?.state ?? `refused ${outcome.problem?.status}`);
}

test("a refusal that comes before the answer to the copy that took the room is waited out", async () => {
  const { client, ended } = started(["a", "b"]);
  await settled();
  client.asked[1]?.refuse(429);
  await settled();
  client.asked[0]?.accept();
  await settled();
  expect(client.asked).toHaveLength(2);
  client.ends.get("a")?.();
  await settled();
  client.asked[2]?.accept();
  await settled();
  client.ends.get("b")?.();
  expect(states(await ended)).toEqual(["succeeded", "succeeded"]);
});

test("a refusal that comes after the end of the copy that had the room is no failure", async () => {
  const { client, ended } = started(["a", "b"]);
  await settled();
  client.asked[0]?.accept();
  await settled();
  client.ends.get("a")?.();
  await settled();
  client.asked[1]?.refuse(429);
  await settled();
  client.asked[2]?.accept();
  await settled();
  client.ends.get("b")?.();
  expect(states(await ended)).toEqual(["succeeded", "succeeded"]);
});

test("where none of them gets room, each has asked once", async () => {
  const { client, ended } = started(["a", "b", "c"]);
  await settled();
  client.asked.forEach((asked) => asked.refuse(429));
  expect(states(await ended)).toEqual(["refused 429", "refused 429", "refused 429"]);
  expect(client.asked).toHaveLength(3);
});

test("whoever waits for one that is then refused for itself does not wait for ever", async () => {
  const { client, ended } = started(["a", "b"]);
  await settled();
  client.asked[1]?.refuse(429);
  await settled();
  client.asked[0]?.refuse(422);
  expect(states(await ended)).toEqual(["refused 422", "refused 429"]);
});

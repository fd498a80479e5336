/**
 * Nothing secret leaves the service, nor lies in its state: every password, token, upload state and signature of these
 * copies is a marker, and everything that the service shows, logs or keeps is searched for them.
 */
import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, inject, it } from "vitest";
import type { CopyView } from "../../src/job/contract.ts";
import { Home, copyOf } from "../e2e/command.ts";
import { seed } from "../faults/seed.ts";
import { startRegistry, type TestRegistry } from "../registry-server/server.ts";
import { multiPlatformImage } from "../support/sample-image.ts";
import { filesIn } from "./files.ts";
import { startMarkingRegistry, type MarkingRegistry, type Refusal } from "./marking-registry.ts";

const SAMPLE = multiPlatformImage({
  seed: "secrets",
  platforms: ["linux/amd64", "linux/arm64/v8"],
  layerBytes: [300_000, 10_000],
});

/** Names that are no secret: where not even they are found, the search itself is at fault. */
const REPOSITORY = "plain/openname";

/**
 * The state of an upload is written down for the lane that may have to go on with it, and nowhere but in that row
 * (docs/storage.md). SQLite leaves the bytes of a deleted row in its file until it needs the room.
 */
function mayLieIn(where: string, marker: string): boolean {
  return (
    marker.startsWith("mark-state-") && /\/RegistryHost\/[0-9a-f]+\.sqlite(?:-wal)?(?: while it runs)?$/.test(where)
  );
}

interface Scenario {
  side: "source" | "target";
  refusal: Refusal | null;
  state: CopyView["state"];
  /** Uploads go in chunks, and one of them breaks off: another lane goes on with it, where the first has left it. */
  breaks?: true;
}

const SCENARIOS: readonly Scenario[] = [
  { side: "source", refusal: null, state: "succeeded" },
  { side: "source", refusal: "token", state: "failed" },
  { side: "source", refusal: "store", state: "failed" },
  { side: "target", refusal: "token", state: "failed" },
  { side: "target", refusal: "upload", state: "failed" },
  { side: "target", refusal: "manifest", state: "failed" },
  { side: "target", refusal: null, state: "succeeded", breaks: true },
];

/** Small enough for a layer to take several. */
const CHUNK_BYTES = 64 * 1024;

describe.skipIf(inject("withoutRegistry"))("nothing secret leaves the service", () => {
  it("whether copies succeed or are refused anywhere", async () => {
    await using home = await Home.create();
    const shown = new Map<string, string>();
    const markers: string[] = [];
    const state = join(home.folder, ".local/state/drayage");
    const serve = home.spawn("serve", "--port", "0", "--verbose");
    try {
      const url = await serve.printed(/listens on (http:[\d./:]+)/);
      const token = (await readFile(join(state, "token"), "utf8")).trim();
      const headers = { authorization: `Bearer ${token}` };
      const show = async (path: string): Promise<void> => {
        const answer = await fetch(`${url}/v1/${path}`, { headers });
        expect(answer.status, path).toBe(200);
        shown.set(path, await answer.text());
      };
      for (const scenario of SCENARIOS) {
        await using pair = await MarkingPair.start(home, scenario);
        const ended = await home.run("copy", "--json", "--server", url, ...pair.ends);
        expect(copyOf(ended).state, JSON.stringify(scenario) + ended.stdout).toBe(scenario.state);
        shown.set(`copy --json ${JSON.stringify(scenario)}`, ended.stdout + ended.stderr);
        await show(`copies/${copyOf(ended).id}`);
        await show(`copies/${copyOf(ended).id}/events`);
        await show(`registries/${pair.source.host}`);
        await show(`registries/${pair.target.host}`);
        markers.push(...pair.source.markers, ...pair.target.markers);
        expect(pair.goneOn()).toBe(scenario.breaks === true);
      }
      await show("copies");
      await show("registries");
      for (const [path, bytes] of await filesIn(state)) {
        shown.set(`${path} while it runs`, bytes.toString("latin1"));
      }
    } finally {
      await serve[Symbol.asyncDispose]();
    }
    const { stdout, stderr } = await serve.ended;
    shown.set("output of serve", stdout + stderr);
    for (const [path, bytes] of await filesIn(state)) {
      shown.set(path, bytes.toString("latin1"));
    }

    for (const kind of ["password", "token", "state", "signature"]) {
      expect(markers.some((marker) => marker.startsWith(`mark-${kind}-`))).toBe(true);
    }
    const found = [...shown].flatMap(([where, text]) =>
      markers
        .filter((marker) => text.includes(marker) && !mayLieIn(where, marker))
        .map((marker) => `${marker} in ${where}`),
    );
    expect(found).toEqual([]);
    // What is no secret is found, so that the search is known to work.
    const holdsOpenly = (where: RegExp): boolean =>
      [...shown].some(([name, text]) => where.test(name) && text.includes(REPOSITORY));
    expect(holdsOpenly(/\.sqlite$/)).toBe(true);
    expect(holdsOpenly(/output of serve/)).toBe(true);
    expect(holdsOpenly(/events$/)).toBe(true);
    expect([...shown].some(([name, text]) => name.endsWith("/events") && text.includes("[secret]"))).toBe(true);
  });
});

/** Two registries full of markers, and a user of them both. */
class MarkingPair implements AsyncDisposable {
  readonly source: MarkingRegistry;
  readonly target: MarkingRegistry;
  readonly #innerTarget: TestRegistry;
  readonly #stack: AsyncDisposableStack;

  private constructor(
    source: MarkingRegistry,
    target: MarkingRegistry,
    innerTarget: TestRegistry,
    stack: AsyncDisposableStack,
  ) {
    this.source = source;
    this.target = target;
    this.#innerTarget = innerTarget;
    this.#stack = stack;
  }

  static async start(home: Home, { side, refusal, breaks }: Scenario): Promise<MarkingPair> {
    const stack = new AsyncDisposableStack();
    const login = { user: "mover", password: `mark-password-${randomUUID()}` };
    const chunks = breaks ? { maxChunkBytes: CHUNK_BYTES, tellsMaxChunk: true } : {};
    const [innerSource, innerTarget] = [stack.use(await startRegistry()), stack.use(await startRegistry(chunks))];
    if (breaks) {
      // The answers to a chunk and to every question for what has become of it: what is left can only be left to another.
      innerTarget.faults.add({
        match: { method: "PATCH" },
        skip: 2,
        times: 1,
        action: { type: "status", status: 503 },
      });
      innerTarget.faults.add({
        match: { method: "GET", path: /uploads/ },
        times: 1,
        action: { type: "status", status: 503 },
      });
    }
    const source = stack.use(await startMarkingRegistry(innerSource, login));
    const target = stack.use(await startMarkingRegistry(innerTarget, login));
    await home.login({ [source.host]: login, [target.host]: login });
    seed(innerSource, REPOSITORY, SAMPLE);
    (side === "source" ? source : target).refusal = refusal;
    return new MarkingPair(source, target, innerTarget, stack);
  }

  /** Whether an upload was asked for its offset, and no blob was sent from its beginning a second time. */
  goneOn(): boolean {
    const { requests } = this.#innerTarget;
    const asked = requests.filter(
      ({ method, path, status }) => method === "GET" && /uploads/.test(path) && status === 204,
    );
    const begun = requests.filter(({ method, path }) => method === "POST" && /uploads/.test(path));
    return asked.length > 0 && begun.length === SAMPLE.blobs.size;
  }

  get ends(): [string, string] {
    return [`${this.source.host}/${REPOSITORY}:v1`, `${this.target.host}/${REPOSITORY}:v1`];
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack.disposeAsync();
  }
}

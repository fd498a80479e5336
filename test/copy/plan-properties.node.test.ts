/** Plans of many small worlds, in any order of events: children first, nothing left standing, nothing left in memory. */
import { expect, test } from "vitest";
import { CopyPlan, type Push } from "../../src/copy/plan.ts";
import { seeded } from "../sim/random.ts";

const WORLDS = 3_000;
const BLOBS = ["b0", "b1", "b2", "b3"];

interface Manifest {
  digest: string;
  children: string[];
  blobs: string[];
  subject: string | undefined;
}

const some = (digests: string[]) => digests.map((digest) => ({ digest, sizeBytes: 1, mediaType: "" }));

class World {
  readonly plan = new CopyPlan("src.example");
  readonly #random: () => number;
  readonly #manifests = new Map<string, Manifest>();
  readonly #arrived = new Set<string>();
  readonly #published = new Set<string>();
  readonly #unread = new Set<string>();
  readonly #held = new Set<string>();
  #waiting: string[];
  #pushes: Push[] = [];

  constructor(seed: number) {
    this.#random = seeded(seed);
    const digests: string[] = [];
    for (let at = this.#below(8) + 3; at > 0; at -= 1) {
      const digest = `m${digests.length}`;
      const children = digests.filter(() => this.#random() < 0.3);
      const subject = this.#random() < 0.4 ? digests[this.#below(digests.length)] : undefined;
      this.#manifests.set(digest, { digest, children, blobs: BLOBS.filter(() => this.#random() < 0.3), subject });
      digests.push(digest);
    }
    this.#waiting = ["one", "two", "three"].slice(this.#below(3));
  }

  /** @param failures How likely it is that what is pushed is refused. */
  run(failures: number): void {
    for (let actions = this.#actions(); actions.length > 0; actions = this.#actions()) {
      actions[this.#below(actions.length)]?.(failures);
      this.#attachWhatIsClosed();
      this.#pushes.push(...this.plan.takeReady());
    }
  }

  #actions(): ((failures: number) => void)[] {
    const missing = BLOBS.filter((blob) => !this.#arrived.has(blob));
    return [
      ...(this.#waiting.length > 0 ? [() => this.#begin()] : []),
      ...(this.#unread.size > 0 ? [() => this.#read()] : []),
      ...(missing.length > 0 ? [() => this.#arrive(missing[this.#below(missing.length)] ?? "")] : []),
      ...(this.#pushes.length > 0 ? [(failures: number) => this.#push(failures)] : []),
    ];
  }

  #begin(): void {
    const key = this.#waiting.pop() ?? "";
    const digest = `m${this.#below(this.#manifests.size)}`;
    const isHeld = this.#random() < 0.6;
    if (this.plan.addRoot(key, { digest, sizeBytes: 1 }, isHeld)) {
      this.#unread.add(digest);
    }
    if (isHeld) {
      this.#held.add(key);
    }
  }

  #read(): void {
    const digest = [...this.#unread][this.#below(this.#unread.size)] ?? "";
    this.#unread.delete(digest);
    const { children = [], blobs = [] } = this.#manifests.get(digest) ?? {};
    if (this.#published.has(digest)) {
      this.plan.published(digest, false);
      return;
    }
    const added = this.plan.add(digest, { children: some(children), blobs: some(blobs) });
    added.children.forEach((child) => this.#unread.add(child.digest));
    blobs.filter((blob) => this.#arrived.has(blob)).forEach((blob) => this.plan.blobArrived(blob));
  }

  #arrive(blob: string): void {
    this.#arrived.add(blob);
    this.plan.blobArrived(blob);
  }

  #push(failures: number): void {
    const [push] = this.#pushes.splice(this.#below(this.#pushes.length), 1);
    if (
      push === undefined ||
      (push.root === null ? !this.plan.has(push.digest) : this.plan.digestOf(push.root) === null)
    ) {
      return;
    }
    const { digest, root } = push;
    const { children = [], blobs = [] } = this.#manifests.get(digest) ?? {};
    expect(children.filter((child) => !this.#published.has(child))).toEqual([]);
    expect(blobs.filter((blob) => !this.#arrived.has(blob))).toEqual([]);
    if (this.#random() < failures) {
      (root === null ? this.plan.rootsOfManifest(digest) : [root]).forEach((key) => this.plan.endRoot(key));
      return;
    }
    this.#published.add(digest);
    this.plan.published(digest);
    if (root !== null) {
      this.plan.endRoot(root);
    }
  }

  #attachWhatIsClosed(): void {
    for (const key of this.#held) {
      const root = this.plan.digestOf(key);
      if (root !== null && !this.plan.isClosed(key)) {
        continue;
      }
      this.#held.delete(key);
      const subjects = new Set(root === null ? [] : [root]);
      for (const subject of subjects) {
        this.plan.childrenOf(subject)?.forEach((child) => subjects.add(child));
      }
      for (const subject of subjects) {
        const referrers = [...this.#manifests.values()].filter((manifest) => manifest.subject === subject);
        for (const { digest } of referrers) {
          subjects.add(digest);
          if (this.plan.attach(key, subject, { digest, sizeBytes: 1, mediaType: "" })) {
            this.#unread.add(digest);
          }
        }
      }
      this.plan.letGo(key);
    }
  }

  #below(bound: number): number {
    return Math.floor(this.#random() * bound);
  }
}

test.each([0, 0.1])("every name comes to its end, where %d of the pushes are refused", (failures) => {
  for (let seed = 1; seed <= WORLDS; seed += 1) {
    const world = new World(seed);
    world.run(failures);
    const { roots, size, missingBlobs } = world.plan;
    expect({ seed, roots, size, missingBlobs }).toEqual({ seed, roots: [], size: 0, missingBlobs: 0 });
  }
});

/** What of a file is not honoured, each thing once however often it is there. */
import type { Note, Path } from "./contract.ts";

export class Notes {
  readonly #byThing = new Map<string, Note>();

  /** @param thing What is told once, such as the name of a key. */
  add(thing: string, path: Path, message: string): void {
    if (!this.#byThing.has(thing)) {
      this.#byThing.set(thing, { path, message: `${thing}: ${message}` });
    }
  }

  get all(): Note[] {
    return [...this.#byThing.values()];
  }
}

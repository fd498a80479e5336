/**
 * In which shape this host takes blobs, as far as it is known: by settings, by what its refusals taught, or by its name.
 * What a refusal teaches is decided in registry/upload-shape.ts; which row holds it, in store.ts.
 */
import type { HostSettings } from "../registry/contract.ts";
import { initialShape, isNewer, type UploadShape } from "../registry/upload-shape.ts";

/** Hosts change, and a refusal may have come from something that is gone: after this it is found out again. */
const LESSON_LIFE_MS = 7 * 24 * 3_600_000;

/** A shape that refusals have taught, and when. */
export interface Lesson {
  shape: UploadShape;
  atMs: number;
}

export class UploadManners {
  #settings: Pick<HostSettings, "host" | "chunkBytes">;
  #lesson: Lesson | undefined;

  constructor(settings: Pick<HostSettings, "host" | "chunkBytes">, lesson?: Lesson) {
    this.#settings = settings;
    this.#lesson = lesson;
  }

  shape(now: number): UploadShape {
    const initial = initialShape(this.#settings);
    if (this.#settings.chunkBytes > 0 || this.#lesson === undefined || this.#lesson.atMs + LESSON_LIFE_MS < now) {
      return initial;
    }
    return isNewer(this.#lesson.shape, initial) ? this.#lesson.shape : initial;
  }

  /** Takes what a lane has learned; answers what is worth keeping, undefined when it is not news. */
  learn(reported: UploadShape, now: number): Lesson | undefined {
    // A lane that began before the last lesson tells an old one.
    if (!isNewer(reported, this.shape(now))) {
      return undefined;
    }
    this.#lesson = { shape: reported, atMs: now };
    return this.#lesson;
  }

  /** Back to what the host's name and the settings say. */
  forget(): void {
    this.#lesson = undefined;
  }
}

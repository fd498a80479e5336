/** Reads files of copies as a run would, for tests: which requests they become, and what is wrong with them. */
import type { ReadingOptions, SyncFormat } from "../../src/cli/sync-file/contract.ts";
import { readSyncFile, WrongFile, type SyncReading } from "../../src/cli/sync-file/read.ts";

export const DIGEST = `sha256:${"0123456789abcdef".repeat(4)}`;

/** 3 February 2026, 14:05:06 UTC. */
const NOW_MS = Date.UTC(2026, 1, 3, 14, 5, 6);

const OPTIONS: ReadingOptions = {
  env: { MIRROR: "r.example/mirror", HUB_USER: "someone", EMPTY: "" },
  nowMs: NOW_MS,
  readFile: (path) => {
    if (path === "/run/hub") {
      return "from the file\n";
    }
    throw new Error("no such file");
  },
};

export function read(text: string, options: Partial<ReadingOptions> = {}, format?: SyncFormat): SyncReading {
  return readSyncFile(text, format, { ...OPTIONS, ...options });
}

export function bodies(text: string, options: Partial<ReadingOptions> = {}): unknown[] {
  return read(text, options).plan.copies.map(({ body }) => body);
}

/** What is wrong with a file, as its user reads it. */
export function faults(text: string, options: Partial<ReadingOptions> = {}, format?: SyncFormat): string[] {
  try {
    read(text, options, format);
  } catch (error) {
    if (error instanceof WrongFile) {
      return error.faults.map(({ place, field, message }) => {
        return `${place === null ? "" : `${place.line}:${place.column} `}${field}: ${message}`;
      });
    }
    throw error;
  }
  return [];
}

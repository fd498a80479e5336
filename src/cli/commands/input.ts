/** Files that commands are given, and standard input in their place. */
import { readFile } from "node:fs/promises";
import { text } from "node:stream/consumers";
import { UsageError } from "../failure.ts";
import type { CommandIo } from "./io.ts";

/** The file's name that means standard input. */
export const STANDARD_INPUT = "-";

/** The whole text of FILE. @throws UsageError when it cannot be read. */
export async function readInput(file: string, io: Pick<CommandIo, "stdin">): Promise<string> {
  try {
    // As a stream: who has opened it may have set it not to wait, and a plain read fails then.
    return file === STANDARD_INPUT ? await text(io.stdin) : await readFile(file, "utf8");
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "unknown error";
    throw new UsageError("FILE", `${nameOf(file)} cannot be read (${code})`);
  }
}

/** As messages have it. */
export function nameOf(file: string): string {
  return file === STANDARD_INPUT ? "standard input" : file;
}

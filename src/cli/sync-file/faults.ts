/** What is wrong in a file of copies: gathered, so that one run tells all of it, each with its place. */
import type * as z from "zod";
import type { Path } from "./contract.ts";

export interface FileFault {
  /** Null: the file as such. */
  path: Path | null;
  message: string;
  /** Known where there is no path: the syntax is wrong there. Both count from 1. */
  at?: { line: number; column: number };
}

/** The file cannot be used. Nothing has been started. */
export class SyncFileError extends Error {
  readonly faults: readonly FileFault[];

  constructor(faults: readonly FileFault[]) {
    super(faults.map(({ message }) => message).join("; "));
    this.name = "SyncFileError";
    this.faults = faults;
  }
}

/** @throws SyncFileError with one fault. */
export function refuse(path: Path | null, message: string): never {
  throw new SyncFileError([{ path, message }]);
}

/** A value as the schema gives it. @throws SyncFileError with everything that is wrong. */
export function checkedBy<T>(schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value);
  if (result.success) {
    return result.data;
  }
  throw new SyncFileError(result.error.issues.flatMap(faultsOf));
}

function faultsOf(issue: z.core.$ZodIssue): FileFault[] {
  const path = issue.path.map((part) => (typeof part === "number" ? part : String(part)));
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => ({ path: [...path, key], message: "is not known here" }));
  }
  return [{ path, message: issue.message }];
}

/** `copies[3].tags.include[0]`. */
export function pathText(path: Path): string {
  return path.reduce<string>((text, part) => {
    if (typeof part === "number") {
      return `${text}[${part}]`;
    }
    const name = /^[\w$-]+$/.test(part) ? part : JSON.stringify(part);
    return text === "" ? name : `${text}.${name}`;
  }, "");
}

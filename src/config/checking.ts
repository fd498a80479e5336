/** How a setting is checked against its schema, and what is said about what does not fit. Pure. Never repeats a value. */
import type * as z from "zod";
import { nearest } from "./suggest.ts";

/** What a setting holds, and what is wrong with it: each complaint names field and fix. */
export interface Reading<T> {
  value: T;
  complaints: string[];
}

const NOT_JSON = Symbol("not JSON");

/** What is said to somebody who used a field that does not exist. */
export interface FieldHints {
  known: readonly string[];
  /** Those of a table within, by the name of the field that holds it or a list of such. */
  within?: Readonly<Record<string, readonly string[]>>;
  /** Names that other tools have, and where they went here. */
  elsewhere?: Readonly<Record<string, string>>;
}

/** A setting may be JSON text: variables of a deployed Worker and secrets often are. What is no JSON is complained of later. */
export function parsed(given: unknown): unknown {
  if (typeof given !== "string") {
    return given;
  }
  try {
    return JSON.parse(given);
  } catch {
    // The parser's own words would quote the text, which may be a secret.
    return NOT_JSON;
  }
}

/** Whether a setting says anything: what is empty is as good as missing. */
export function isGiven(setting: unknown): boolean {
  return setting !== undefined && setting !== null && setting !== "";
}

/** The value that the schema makes of it, or undefined with complaints that begin with the name of the field. */
export function checked<T>(
  schema: z.ZodType<T>,
  field: string,
  value: unknown,
  complaints: string[],
  hints: FieldHints = { known: [] },
): T | undefined {
  if (value === NOT_JSON) {
    complaints.push(`${field}: is not JSON; check its quotes and commas`);
    return undefined;
  }
  const result = schema.safeParse(value);
  if (result.success) {
    return result.data;
  }
  for (const issue of result.error.issues) {
    const place = [
      field,
      ...issue.path.map((part) => (typeof part === "number" ? `[${part}]` : `.${String(part)}`)),
    ].join("");
    if (issue.code !== "unrecognized_keys") {
      complaints.push(`${place}: ${issue.message}`);
    } else {
      complaints.push(...issue.keys.map((key) => `${place}.${key}: unknown field; ${hint(key, issue.path, hints)}`));
    }
  }
  return undefined;
}

function hint(
  key: string,
  path: readonly PropertyKey[],
  { known: top, within = {}, elsewhere = {} }: FieldHints,
): string {
  const holder = path.findLast((part) => typeof part === "string") ?? "";
  const known = Object.hasOwn(within, holder) ? (within[holder] ?? top) : top;
  const near = nearest(key, known);
  const there = Object.hasOwn(elsewhere, key) ? elsewhere[key] : undefined;
  return near === null ? (there ?? `the fields are ${known.join(", ")}`) : `did you mean ${near}?`;
}

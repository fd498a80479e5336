/** Reads what a request brings, checks it against a schema, and says field by field what is wrong. */
import * as z from "zod";
import { nearest } from "../config/suggest.ts";
import { invalidFields, Problem, type FieldError } from "./problem.ts";

/** A request to copy is a few hundred bytes; whoever sends more has mistaken the address. */
export const MAX_BODY_BYTES = 64 * 1024;

const NO_QUERY = z.strictObject({});

/**
 * The JSON body, checked.
 * @throws Problem 415 without a JSON content type, 413 above {@link MAX_BODY_BYTES} (and nothing further is read), 400 when
 * it is not JSON, 422 with each wrong field.
 */
export async function readBody<T>(request: Request, schema: z.ZodObject & z.ZodType<T>): Promise<T> {
  const mediaType = (request.headers.get("content-type") ?? "").split(";", 1)[0]?.trim().toLowerCase();
  if (mediaType !== "application/json") {
    throw new Problem(
      "unsupported-media-type",
      "Send the body as JSON, with the header Content-Type: application/json.",
    );
  }
  const text = await readText(request);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new Problem("malformed-request", "The body is not valid JSON; check its quotes, commas and braces.");
  }
  return checked(schema, json, "field");
}

/** The query, checked; a parameter given twice is refused like any other wrong value. @throws Problem 422 */
export function readQuery<T>(request: Request, schema: z.ZodObject & z.ZodType<T>): T {
  const parameters = new URL(request.url).searchParams;
  const values = [...new Set(parameters.keys())].map((name) => {
    const all = parameters.getAll(name);
    return [name, all.length === 1 ? all[0] : all];
  });
  return checked(schema, Object.fromEntries(values), "query parameter");
}

/**
 * For an operation that takes no query: who sends `?dry_run=true` where it belongs into the body must not get a copy.
 * @throws Problem 422
 */
export function refuseQuery(request: Request): void {
  readQuery(request, NO_QUERY);
}

/** The headers that the schema names, checked. @throws Problem 422 */
export function readHeaders<T>(request: Request, schema: z.ZodObject & z.ZodType<T>): T {
  const names = Object.keys(schema.shape).filter((name) => request.headers.has(name));
  return checked(schema, Object.fromEntries(names.map((name) => [name, request.headers.get(name)])), "header");
}

async function readText(request: Request): Promise<string> {
  if (Number(request.headers.get("content-length") ?? 0) > MAX_BODY_BYTES) {
    throw tooLarge();
  }
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  // Leaving the loop cancels the body: what is too much is not read.
  for await (const piece of request.body ?? []) {
    bytes += piece.byteLength;
    if (bytes > MAX_BODY_BYTES) {
      throw tooLarge();
    }
    pieces.push(piece);
  }
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(await new Blob(pieces).arrayBuffer());
  } catch {
    throw new Problem("malformed-request", "The body is not UTF-8 text.");
  }
}

function tooLarge(): Problem {
  return new Problem("too-large", `The body has more than ${MAX_BODY_BYTES / 1024} KiB; a request is far smaller.`);
}

function checked<T>(schema: z.ZodObject & z.ZodType<T>, value: unknown, what: string): T {
  const result = schema.safeParse(value);
  if (result.success) {
    return result.data;
  }
  throw invalidFields(result.error.issues.flatMap((issue) => fieldErrors(issue, Object.keys(schema.shape), what)));
}

function fieldErrors(issue: z.core.$ZodIssue, known: readonly string[], what: string): FieldError[] {
  if (issue.code !== "unrecognized_keys") {
    return [{ field: issue.path.map(String).join("."), message: issue.message }];
  }
  return issue.keys.map((key) => {
    const near = nearest(key, known);
    const others = known.length === 0 ? "there is none here" : `there are ${known.join(", ")}`;
    const fix = near === null ? others : `did you mean ${near}?`;
    return { field: key, message: `unknown ${what}; ${fix}` };
  });
}

/**
 * What the API can do is a table of operations: the router and the OpenAPI document are both made from it, so they cannot
 * say different things.
 */
import type { z } from "zod";
import type { Env } from "../env.ts";

export interface Operation {
  /** `operationId` of the document. */
  id: string;
  method: "GET" | "POST" | "DELETE";
  /** With parameters in braces: `/v1/copies/{id}`. */
  path: `/${string}`;
  summary: string;
  description?: string;
  /** Answers without a token. */
  open?: true;
  parameters?: { path?: z.ZodObject; query?: z.ZodObject; header?: z.ZodObject };
  body?: z.ZodType;
  /** By status. Problems that every operation has in common are added by the document. */
  answers: Readonly<Record<number, Answer>>;
  handle(call: Call): Response | Promise<Response>;
}

export interface Answer {
  description: string;
  /** Of a JSON body. */
  schema?: z.ZodType;
  /** Of a body that is not JSON. */
  mediaType?: string;
  headers?: Readonly<Record<string, string>>;
}

export interface Call {
  request: Request;
  /** Parameters of the path, decoded. */
  path: Readonly<Record<string, string>>;
  env: Env;
  ctx: ExecutionContext;
}

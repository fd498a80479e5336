/**
 * What the API can do is a table of operations: the router, the door and the OpenAPI document are all made from it, so they
 * cannot say different things, and no operation can be without a word on who may.
 */
import type { z } from "zod";
import type { Action, Principal } from "../access/contract.ts";
import type { Env } from "../env.ts";

interface Described {
  /** `operationId` of the document. */
  id: string;
  method: "GET" | "POST" | "PUT" | "DELETE" | "OPTIONS";
  /** With parameters in braces: `/v1/copies/{id}`. */
  path: `/${string}`;
  summary: string;
  description?: string;
  parameters?: { path?: z.ZodObject; query?: z.ZodObject; header?: z.ZodObject };
  body?: z.ZodType;
  isBodyOptional?: boolean;
  /** For a body that may be of any type: what it is. */
  anyBody?: string;
  /** By status. Problems that every operation has in common are added by the document. */
  answers: Readonly<Record<number, Answer>>;
}

/** Answers to everybody, without a token. */
export interface OpenOperation extends Described {
  action: "open";
  handle(call: Call): Response | Promise<Response>;
}

/** Answers to those whose scopes have the action. What else they may see of it, the operation itself decides. */
export interface GuardedOperation extends Described {
  action: Action;
  handle(call: AdmittedCall): Response | Promise<Response>;
}

export type Operation = OpenOperation | GuardedOperation;

/** With neither a schema nor a media type: without a body. */
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

export interface AdmittedCall extends Call {
  /** Who asks. */
  principal: Principal;
}

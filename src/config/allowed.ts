/**
 * ALLOWED_REGISTRIES: the registries this service may be used with, where it is not for every one. Pure. Which addresses
 * may be called besides (token realms, stores behind redirects) is decided in `registry/reach.ts`.
 */
import * as z from "zod";
import { canonicalHost } from "../registry/reference.ts";
import { checked, isGiven, parsed, type Reading } from "./checking.ts";

/** A host as references have it; `*` stands for a part of a label, a leading `*.` for any number of labels. */
const PATTERN = /^(?:\*|(?:\*\.)?[a-z0-9*-]+(?:\.[a-z0-9*-]+)*(?::[0-9]{1,5})?)$/;

const Patterns = z
  .array(
    z
      .string("text is needed")
      .transform((text) => canonicalHost(text.trim()))
      .refine(
        (text) => PATTERN.test(text),
        'write a host as in references, such as "ghcr.io" or "*.azurecr.io", without scheme and path',
      ),
    'a list of registry hosts is needed, such as ["ghcr.io", "*.azurecr.io"]',
  )
  .min(1, "names no registry, so that none could be used; leave it out to allow every one");

/** Whether a canonical host may be used. */
export type AllowedRegistries = (host: string) => boolean;

/** Reads ALLOWED_REGISTRIES: a list, the same as JSON text, or names separated by commas. Not set: every registry. */
export function readAllowed(given: unknown): Reading<AllowedRegistries> {
  if (!isGiven(given)) {
    return { value: () => true, complaints: [] };
  }
  const complaints: string[] = [];
  const isPlainText = typeof given === "string" && !/^\s*[[{"]/.test(given);
  const list = isPlainText ? given.split(",").filter((part) => part.trim() !== "") : parsed(given);
  const patterns = (checked(Patterns, "ALLOWED_REGISTRIES", list, complaints) ?? []).map(expressionOf);
  return { value: (host) => patterns.some((pattern) => pattern.test(host)), complaints };
}

function expressionOf(pattern: string): RegExp {
  if (pattern === "*") {
    return /^/;
  }
  const [lead, rest] = pattern.startsWith("*.") ? ["(?:[a-z0-9-]+\\.)+", pattern.slice(2)] : ["", pattern];
  return new RegExp(`^${lead}${rest.replaceAll(".", "\\.").replaceAll("*", "[a-z0-9-]*")}$`);
}

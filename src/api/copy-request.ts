/** From the body of `POST /v1/copies` to a copy that can be made. Everything that can be said before a registry is asked. */
import type * as z from "zod";
import { reachRefusal, settingsOf, type SettingsEnv } from "../config.ts";
import type { CopyRequest } from "../copy/request.ts";
import { errorDetailOf } from "../registry/errors.ts";
import { formatReference, parseReference, type Reference } from "../registry/reference.ts";
import { invalidFields, type FieldError } from "./problem.ts";
import type { CopyRequestSchema } from "./schemas.ts";

/**
 * @throws Problem 422 with what is wrong with `source` and `target`, both at once.
 * @throws CopyError `configuration` when settings are wrong.
 */
export function copyRequestOf(body: z.output<typeof CopyRequestSchema>, env: SettingsEnv): CopyRequest {
  settingsOf(env);
  const errors: FieldError[] = [];
  const source = referenceOf(body.source, "source", env, errors);
  const target = referenceOf(body.target, "target", env, errors);
  const fault = source && target ? targetFault(source, target) : null;
  if (fault !== null) {
    errors.push({ field: "target", message: fault });
  }
  if (errors.length > 0 || source === null || target === null) {
    throw invalidFields(errors);
  }
  return { source, target, ...(body.priority === "background" ? { background: true } : {}) };
}

/** Names what is asked for, whatever way it was written: equal requests have equal fingerprints. */
export async function fingerprintOf(request: CopyRequest): Promise<string> {
  const named = { ...request, source: formatReference(request.source), target: formatReference(request.target) };
  const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(JSON.stringify(named)));
  return Array.from(new Uint8Array(hash), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function referenceOf(text: string, field: string, env: SettingsEnv, errors: FieldError[]): Reference | null {
  let reference: Reference;
  try {
    reference = parseReference(text, field);
  } catch (thrown) {
    const { code, message } = errorDetailOf(thrown);
    if (code !== "invalid_request") {
      throw thrown;
    }
    errors.push({ field, message });
    return null;
  }
  const refusal = reachRefusal(env, reference.host);
  if (refusal !== null) {
    errors.push({ field, message: `the host ${reference.host} ${refusal}` });
    return null;
  }
  return reference;
}

function targetFault(source: Reference, target: Reference): string | null {
  if (source.digest !== undefined && target.digest !== undefined && source.digest !== target.digest) {
    return "its digest is not the source's; a copy never changes a digest, so leave it out or give the same one";
  }
  const sameRepository = source.host === target.host && source.repository === target.repository;
  // A tag may be moved to a digest of its own repository; everything else onto itself is no copy.
  const sameName = source.tag === target.tag && (source.tag === undefined || source.digest === undefined);
  return sameRepository && sameName ? "it is the source itself; give another repository, host or tag" : null;
}

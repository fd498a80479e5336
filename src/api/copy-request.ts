/** From the body of `POST /v1/copies` to copies that can be made. Everything that can be said before a registry is asked. */
import { reachRefusal, settingsOf, type SettingsEnv } from "../config.ts";
import { type CopyRequest, isRepositoryCopy } from "../copy/request.ts";
import { errorDetailOf } from "../registry/errors.ts";
import { formatReference, parseName, type Reference, withDefaultTag } from "../registry/reference.ts";
import { choicesOf } from "./copy-choices.ts";
import type { CopiesRequestBody, CopyRequestBody } from "./copy-request-schema.ts";
import { invalidFields, Problem, type FieldError } from "./problem.ts";

/** What only makes sense with many tags. */
const OF_REPOSITORIES = ["tags", "target_tag", "fail_fast", "prune"] as const;

/**
 * @param nowMs Milliseconds since the epoch: what durations count from.
 * @throws Problem 422 with everything that is wrong, field by field.
 * @throws CopyError `configuration` when settings are wrong.
 */
export function copyRequestOf(body: CopyRequestBody, env: SettingsEnv, nowMs: number): CopyRequest {
  settingsOf(env);
  const errors: FieldError[] = [];
  const source = referenceOf(body.source, "source", env, errors);
  const target = referenceOf(body.target, "target", env, errors);
  const isRepository = source === null ? null : isRepositoryCopy({ source, target: source });
  const choices = choicesOf(body, nowMs, isRepository, errors);
  if (source !== null && isRepository === true) {
    errors.push(...(target === null ? [] : repositoryFaults(source, target, body)));
    throwIf(errors);
    if (target !== null) {
      return { source, target, ...choices };
    }
  }
  for (const field of OF_REPOSITORIES.filter((each) => body[each] !== undefined)) {
    const message = "is for a repository as source; leave it out, or leave the tag out of source";
    errors.push(...(source === null ? [] : [{ field, message }]));
  }
  const fault = source && target ? targetFault(source, withDefaultTag(target)) : null;
  if (fault !== null) {
    errors.push({ field: "target", message: fault });
  }
  if (errors.length > 0 || source === null || target === null) {
    throw invalidFields(errors);
  }
  return { source, target: withDefaultTag(target), ...choices };
}

/**
 * The copies that a body asks for: one, or one for each of its targets.
 * @throws Problem 422 and CopyError as {@link copyRequestOf}; fields of targets are named `targets.0`.
 */
export function copyRequestsOf(body: CopiesRequestBody, env: SettingsEnv, nowMs: number): CopyRequest[] {
  const { target = "", targets, ...rest } = body;
  if (targets === undefined) {
    return [copyRequestOf({ ...rest, target }, env, nowMs)];
  }
  const errors = new Map<string, FieldError>();
  const places = new Map<string, number>();
  const requests = targets.map((each, place) => {
    const field = `targets.${place}`;
    try {
      const request = copyRequestOf({ ...rest, target: each }, env, nowMs);
      const name = formatReference(request.target);
      const known = places.get(name);
      if (known !== undefined) {
        note(errors, { field, message: `is the same as targets.${known}; name each once` });
      }
      places.set(name, known ?? place);
      return request;
    } catch (thrown) {
      if (!(thrown instanceof Problem) || thrown.errors.length === 0) {
        throw thrown;
      }
      // What is wrong beside the targets is wrong for each of them.
      thrown.errors.forEach((error) => note(errors, error.field === "target" ? { ...error, field } : error));
      return null;
    }
  });
  throwIf([...errors.values()]);
  return requests.filter((request) => request !== null);
}

/**
 * Names what is asked for, whatever way it was written: equal requests have equal fingerprints. A duration is the same
 * whenever it is sent, though it means another moment.
 */
export async function fingerprintOf(request: CopyRequest, body: Pick<CopyRequestBody, "tags"> = {}): Promise<string> {
  const { newerThanMs, ...tags } = request.tags ?? {};
  const named = {
    ...request,
    source: formatReference(request.source),
    target: formatReference(request.target),
    ...(request.tags === undefined ? {} : { tags }),
    ...(newerThanMs === undefined ? {} : { newerThan: body.tags?.newer_than ?? newerThanMs }),
  };
  return hashOf(JSON.stringify(named));
}

/** The same for copies that are asked for together. */
export async function fingerprintOfAll(
  requests: readonly CopyRequest[],
  body: Pick<CopyRequestBody, "tags"> = {},
): Promise<string> {
  const each = await Promise.all(requests.map((request) => fingerprintOf(request, body)));
  return each.length === 1 ? each.join("") : hashOf(each.join(" "));
}

async function hashOf(text: string): Promise<string> {
  const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return Array.from(new Uint8Array(hash), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Each fault once. */
function note(errors: Map<string, FieldError>, error: FieldError): void {
  errors.set(`${error.field} ${error.message}`, error);
}

function throwIf(errors: FieldError[]): void {
  if (errors.length > 0) {
    throw invalidFields(errors);
  }
}

function referenceOf(text: string, field: string, env: SettingsEnv, errors: FieldError[]): Reference | null {
  let reference: Reference;
  try {
    reference = parseName(text, field);
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

function repositoryFaults(source: Reference, target: Reference, body: CopyRequestBody): FieldError[] {
  if (target.tag !== undefined || target.digest !== undefined) {
    const name = formatReference({ host: target.host, repository: target.repository });
    return [
      {
        field: "target",
        message:
          `it names a single image, but source has neither tag nor digest and is a repository; add a tag to source ` +
          `(${formatReference(source)}:latest), or give ${name}`,
      },
    ];
  }
  const sameRepository = source.host === target.host && source.repository === target.repository;
  return sameRepository && body.target_tag === undefined
    ? [{ field: "target", message: "it is the source itself; give another repository or host, or a target_tag" }]
    : [];
}

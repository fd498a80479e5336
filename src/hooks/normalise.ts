/**
 * Turns what a sender calls things into what a reference of this service has: the canonical host, the hook's own names where
 * it gives them, and only names that a registry can have. Pure.
 */
import { canonicalHost, formatReference, isTag, parseReference } from "../registry/reference.ts";
import { errorDetailOf } from "../registry/errors.ts";
import type { CheckedPushEvent, Hook, Ignored, PushEvent } from "./contract.ts";
import { hostIn, isDigest, kindOfMediaType } from "./names.ts";

/** What the sender says is repeated in answers and logs, but not at any length. */
const MAX_SHOWN_CHARACTERS = 400;

/** Distribution-spec: host and repository stay within this; more is not looked at. */
const MAX_REPOSITORY_CHARACTERS = 255;

export function normalised(event: PushEvent, hook: Hook): { event: CheckedPushEvent } | { ignored: Ignored } {
  const { tag, digest: toldDigest, ...rest } = event;
  // A malformed digest beside a tag is only a worse hint.
  const digest = toldDigest !== undefined && isDigest(toldDigest) ? toldDigest : undefined;
  const registryHost = hostIn(hook.registryHost ?? event.registryHost);
  const ignore = (reason: string) => ({ ignored: { what: shown(whatOf(event)), reason } });

  if (event.repository.length > MAX_REPOSITORY_CHARACTERS) {
    return ignore(`its repository has more than ${MAX_REPOSITORY_CHARACTERS} characters`);
  }
  const repository = renamed(event.repository, hook);
  if (tag === undefined && kindOfMediaType(event.mediaType) === "blob") {
    return ignore("a layer or config: it is copied with its image");
  }
  if (registryHost === undefined) {
    return ignore(`${event.sender} does not say which registry it is; set "registryHost" of the hook`);
  }
  if (tag !== undefined && !isTag(tag)) {
    return ignore("its tag is not one that a registry can have");
  }
  if (tag === undefined && digest === undefined) {
    return ignore("its digest is malformed and it has no tag");
  }
  if (tag === undefined && hook.untagged !== true) {
    return ignore('it was pushed by digest, without a tag; set "untagged" of the hook to copy such manifests too');
  }
  // The digest has been judged; without it the errors below are shorter.
  const name = `${registryHost}/${repository}${tag === undefined ? "" : `:${tag}`}`;
  try {
    const reference = parseReference(name, "what was pushed");
    if (reference.host !== canonicalHost(registryHost)) {
      return ignore(
        `"${shown(registryHost)}" is no registry host with a dot or a port; set "registryHost" of the hook`,
      );
    }
    return {
      event: {
        ...rest,
        registryHost: reference.host,
        repository: reference.repository,
        ...(tag === undefined ? {} : { tag }),
        ...(digest === undefined ? {} : { digest }),
      },
    };
  } catch (thrown) {
    return ignore(errorDetailOf(thrown).message);
  }
}

/** `repository:tag`, or what there is of it, as the sender wrote it. */
export function whatOf(event: PushEvent): string {
  const { registryHost, repository, tag, digest } = event;
  if (registryHost === undefined) {
    return `${repository}${tag === undefined ? "" : `:${tag}`}${digest === undefined ? "" : `@${digest}`}`;
  }
  return formatReference({
    host: registryHost,
    repository,
    ...(tag === undefined ? {} : { tag }),
    ...(digest === undefined ? {} : { digest }),
  });
}

export function shown(text: string): string {
  return text.length > MAX_SHOWN_CHARACTERS ? `${text.slice(0, MAX_SHOWN_CHARACTERS)}…` : text;
}

function renamed(repository: string, { stripPrefix = "", addPrefix = "" }: Hook): string {
  const bare = repository.replaceAll(/^\/+|\/+$/g, "");
  return `${addPrefix}${bare.startsWith(stripPrefix) ? bare.slice(stripPrefix.length) : bare}`;
}

/** Puts together what a sender's file has found in its payload: each find is a push, or ignored with its reason. Pure. */
import type { Ignored, Parsed, PushEvent, SenderName } from "./contract.ts";
import { tagAndDigest, timeMsOf } from "./names.ts";

/**
 * Each push is a row of the one index that the whole service waits for, and a delivery within its size can name a hundred
 * thousand tags. Real ones have hundreds.
 */
export const MAX_PUSHES = 5000;

export type Find = { push: PushEvent } | { ignored: Ignored };

/** What a payload says of one push; whatever is not there is undefined. */
export interface Found {
  registryHost?: string | undefined;
  repository: string | undefined;
  /** Texts of which each may be a tag, a digest or nothing, the likeliest first. */
  references: readonly (string | undefined)[];
  mediaType?: string | undefined;
  /** A time in any form. */
  pushedAt?: unknown;
  deliveryId?: string | undefined;
}

/** A push, or ignored where it lacks the repository or has neither tag nor digest. */
export function pushOf(sender: SenderName, found: Found): Find {
  const { registryHost, repository, mediaType, deliveryId } = found;
  const { tag, digest } = tagAndDigest(...found.references);
  if (repository === undefined) {
    return ignoredOf(tag ?? digest ?? "event", "it names no repository");
  }
  if (tag === undefined && digest === undefined) {
    return ignoredOf(repository, "it names neither a tag nor a digest");
  }
  const pushedAtMs = timeMsOf(found.pushedAt);
  return {
    push: {
      repository,
      sender,
      ...(registryHost === undefined ? {} : { registryHost }),
      ...(tag === undefined ? {} : { tag }),
      ...(digest === undefined ? {} : { digest }),
      ...(mediaType === undefined ? {} : { mediaType }),
      ...(pushedAtMs === undefined ? {} : { pushedAtMs }),
      ...(deliveryId === undefined ? {} : { deliveryId }),
    },
  };
}

export function ignoredOf(what: string, reason: string): Find {
  return { ignored: { what, reason } };
}

export function collected(finds: readonly Find[]): Parsed {
  const events: PushEvent[] = [];
  const ignored: Ignored[] = [];
  for (const find of finds) {
    if ("push" in find) {
      events.push(find.push);
    } else {
      ignored.push(find.ignored);
    }
  }
  return { kind: "push", events, ignored };
}

/** For finds that were broken off above {@link MAX_PUSHES}: what they would have gone on with is not known. */
export function collectedWhole(finds: readonly Find[]): Parsed {
  return finds.length > MAX_PUSHES ? { kind: "too-many" } : collected(finds);
}

export function ignoring(reason: string): Parsed {
  return { kind: "ignored", reason };
}

export function invalid(problem: string): Parsed {
  return { kind: "invalid", problem };
}

/** What an action's or event's name sounds like; unknown names are taken for pushes, since a copy too many costs two requests. */
export function soundOf(action: string): "push" | "ping" | "other" {
  if (/^(?:ping|test)$|[._:-](?:ping|test)$/i.test(action)) {
    return "ping";
  }
  const others = /delet|remov|untag|purg|expir|prun|pull|quarantin|scan|vulnerab|quota|retention|fail|lint|denied/i;
  return others.test(action) ? "other" : "push";
}

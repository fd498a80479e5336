/**
 * The CNCF distribution registry (registry:2 and :3) and what is made from it: an envelope with any number of events,
 * pulls, layers and other repositories among them (distribution, "Work with notifications"). Azure and GitLab send the
 * same events, so the reading of one is shared.
 */
import type { Sender, SenderName } from "../contract.ts";
import { isObject, listAt, textAt, valueAt } from "../json.ts";
import { kindOfMediaType } from "../names.ts";
import { collected, ignoredOf, invalid, pushOf, soundOf, type Find } from "../pushes.ts";

const EVENTS_TYPE = "application/vnd.docker.distribution.events.";

export const distribution: Sender = {
  name: "distribution",
  recognises(headers, body) {
    const declared = (headers.get("content-type") ?? "").toLowerCase().startsWith(EVENTS_TYPE);
    return declared || isEnvelope(body) || (Array.isArray(body) && body.some(isRegistryEvent));
  },
  parse: (delivery) => readEnvelope("distribution", delivery.body),
};

export function isEnvelope(body: unknown): boolean {
  const events = valueAt(body, "/events");
  return Array.isArray(events) && (events.length === 0 || events.some(isRegistryEvent));
}

/** Whether it is one event as distribution has them: an action on a target in a repository. */
export function isRegistryEvent(event: unknown): boolean {
  return textAt(event, "/action") !== undefined && textAt(event, "/target/repository") !== undefined;
}

/** Reads an envelope; a single event or a bare list of them is taken for one. */
export function readEnvelope(sender: SenderName, body: unknown): ReturnType<typeof collected> {
  const events = Array.isArray(body)
    ? body
    : Array.isArray(valueAt(body, "/events"))
      ? listAt(body, "/events")
      : [body];
  if (!isEnvelope({ events })) {
    return invalid('it has no list "events" of registry events, each with "action" and "target"');
  }
  return collected(events.map((event) => readRegistryEvent(sender, event)));
}

export function readRegistryEvent(sender: SenderName, event: unknown): Find {
  const action = (textAt(event, "/action") ?? "").toLowerCase();
  const repository = textAt(event, "/target/repository");
  const tag = textAt(event, "/target/tag");
  const digest = textAt(event, "/target/digest");
  const what = `${repository ?? "event"}${tag === undefined ? (digest === undefined ? "" : `@${digest}`) : `:${tag}`}`;
  if (!isObject(event)) {
    return ignoredOf("event", "it is no object");
  }
  if (action === "mount" || isBlob(event, tag)) {
    return ignoredOf(what, "a layer or config: it is copied with its image");
  }
  if (action === "" || soundOf(action) !== "push") {
    return ignoredOf(what, `its action "${action}" is no push`);
  }
  return pushOf(sender, {
    registryHost: textAt(event, "/request/host"),
    repository,
    references: [tag, digest],
    mediaType: textAt(event, "/target/mediaType"),
    pushedAt: valueAt(event, "/timestamp"),
    deliveryId: textAt(event, "/id"),
  });
}

/** Layers come in the same stream, without a tag: their media type says so, or at least their address. */
function isBlob(event: unknown, tag: string | undefined): boolean {
  if (tag !== undefined) {
    return false;
  }
  const kind = kindOfMediaType(textAt(event, "/target/mediaType"));
  return kind === "blob" || (kind === "unknown" && /\/blobs\//.test(textAt(event, "/target/url") ?? ""));
}

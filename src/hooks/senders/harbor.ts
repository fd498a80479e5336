/**
 * Harbor: its own format and CloudEvents, which wrap the same data (Harbor documentation, "Configure Webhook
 * Notifications"). Its `tag` is a digest where an artifact was pushed without one. The configured "auth header" comes in
 * `Authorization`, as it was typed. Tencent's registry sends the same.
 */
import type { Parsed, Sender } from "../contract.ts";
import { cloudEventsOf, type CloudEvent } from "../cloud-events.ts";
import { isObject, listAt, textAt, valueAt } from "../json.ts";
import { hostBefore, splitName } from "../names.ts";
import { collected, ignoring, invalid, pushOf, soundOf, type Find } from "../pushes.ts";

/** Types of a push, without case and separators: 2.x, 1.x and CloudEvents. */
const PUSHES: ReadonlySet<string> = new Set(["pushartifact", "pushimage", "harborartifactpushed"]);

export const harbor: Sender = {
  name: "harbor",
  recognises: (headers, body) =>
    (textAt(body, "/type") !== undefined && isObject(valueAt(body, "/event_data"))) ||
    cloudEventsOf(headers, body).some(({ type }) => type.startsWith("harbor.")),
  parse({ headers, body }) {
    const events = cloudEventsOf(headers, body);
    if (events.length > 0) {
      return readAll(events);
    }
    const type = textAt(body, "/type");
    if (type === undefined) {
      return invalid('it has no "type", which Harbor sends');
    }
    return isPush(type) ? collected(readData(body, undefined)) : otherThanPush(type);
  },
};

function readAll(events: readonly CloudEvent[]): Parsed {
  const pushes = events.filter(({ type }) => isPush(type));
  const [first] = events;
  return pushes.length === 0 && first !== undefined ? otherThanPush(first.type) : collected(pushes.flatMap(readEvent));
}

function readEvent(event: CloudEvent): Find[] {
  return readData({ occur_at: event.time, ...(isObject(event.data) ? event.data : {}) }, event.id);
}

function readData(payload: unknown, deliveryId: string | undefined): Find[] {
  const data = valueAt(payload, "/event_data") ?? payload;
  const namespace = textAt(data, "/repository/namespace");
  const name = textAt(data, "/repository/name");
  // Some that speak Harbor's language have the namespace in the name already.
  const joined =
    namespace === undefined || name?.startsWith(`${namespace}/`) === true ? name : `${namespace}/${name ?? ""}`;
  const repository =
    textAt(data, "/repository/repo_full_name", "/repository/full_name") ??
    (name === undefined || joined?.includes("/") !== true ? undefined : joined);
  const resources = listAt(data, "/resources");
  return (resources.length === 0 ? [{}] : resources).map((resource) => {
    const url = textAt(resource, "/resource_url");
    const named = splitName(url ?? "");
    return pushOf("harbor", {
      registryHost: hostBefore(url, repository) ?? named.registryHost,
      repository: repository ?? named.repository,
      references: [textAt(resource, "/tag"), named.tag, textAt(resource, "/digest"), named.digest],
      mediaType: textAt(resource, "/media_type"),
      pushedAt: valueAt(payload, "/occur_at"),
      deliveryId,
    });
  });
}

function otherThanPush(type: string): Parsed {
  return soundOf(type) === "ping" ? { kind: "ping" } : ignoring(`the event "${type}" is no push of an artifact`);
}

function isPush(type: string): boolean {
  return PUSHES.has(type.replaceAll(/[^A-Za-z]/g, "").toLowerCase());
}

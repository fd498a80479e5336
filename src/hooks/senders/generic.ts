/**
 * Whatever else sends JSON: where things are is said by the hook's JSON pointers; what they do not say is looked for under
 * the names that registries and build services use. Shared with CloudEvents of no known type.
 */
import type { FieldPointers, Sender, SenderName } from "../contract.ts";
import { isObject, textAt, textsAt, valueAt } from "../json.ts";
import { hostIn, splitName, tagAndDigest } from "../names.ts";
import { collectedWhole, ignoredOf, invalid, MAX_PUSHES, pushOf, soundOf, type Find } from "../pushes.ts";

/** Where a name with host or tag is found, if nothing is configured. */
const REFERENCES = [
  "/image",
  "/reference",
  "/image_ref",
  "/image_name",
  "/image_url",
  "/docker_url",
  "/resource_url",
  "/uri",
];
const HOSTS = ["/registry", "/registry_host", "/registry_url", "/registry/host", "/registry/url", "/host", "/hostname"];
const REPOSITORIES = [
  "/repository",
  "/repository_name",
  "/repo",
  "/repo_name",
  "/repository/repo_full_name",
  "/repository/repo_name",
  "/repository/full_name",
  "/repository/path",
  "/repository/name",
  "/image/repository",
  "/image/name",
  "/target/repository",
  "/name",
];
const TAGS = [
  "/tag",
  "/tags",
  "/image_tag",
  "/image_tags",
  "/updated_tags",
  "/image/tag",
  "/push_data/tag",
  "/target/tag",
  "/reference",
  "/version",
];
const DIGESTS = [
  "/digest",
  "/image_digest",
  "/manifest_digest",
  "/image/digest",
  "/push_data/digest",
  "/target/digest",
];
const MEDIA_TYPES = ["/media_type", "/manifest_media_type", "/target/media_type"];
const ACTIONS = ["/action", "/action_type", "/event_type", "/event", "/type"];
const IDS = ["/id", "/event_id", "/delivery_id", "/message_id"];
const TIMES = ["/pushed_at", "/time", "/timestamp", "/push_data/pushed_at"];

/** Headers with an id of the delivery. */
const ID_HEADERS = ["webhook-id", "x-delivery-id", "x-webhook-delivery", "x-request-id", "idempotency-key"];

export const generic: Sender = {
  name: "generic",
  recognises: (_headers, body) => pings(body) || readEvents("generic", body, {}).some((find) => "push" in find),
  parse({ headers, body }, hook) {
    if (!isObject(body) && !Array.isArray(body)) {
      return invalid("it is neither a JSON object nor a list");
    }
    if (isObject(body) && pings(body)) {
      return { kind: "ping" };
    }
    const id = ID_HEADERS.map((name) => headers.get(name)).find((value) => value !== null) ?? undefined;
    return collectedWhole(readEvents("generic", body, hook.fields ?? {}, { deliveryId: id }));
  },
};

/** What is known of the events besides their data. */
interface Known {
  deliveryId?: string | undefined;
  pushedAt?: unknown;
  /** A name for what was pushed, if the data has none. */
  subject?: string | undefined;
  action?: string | undefined;
  registryHost?: string | undefined;
}

/**
 * The pushes in a body, one for each event and tag, and no more of them than it takes to see that they are too many: each
 * event is looked through under many names.
 */
export function readEvents(sender: SenderName, body: unknown, fields: FieldPointers, known: Known = {}): Find[] {
  const events = fields.events === undefined ? body : valueAt(body, fields.events);
  const finds: Find[] = [];
  for (const event of Array.isArray(events) ? events : [events]) {
    finds.push(...readEvent(sender, event, fields, known));
    if (finds.length > MAX_PUSHES) {
      break;
    }
  }
  return finds;
}

function readEvent(sender: SenderName, event: unknown, fields: FieldPointers, known: Known): Find[] {
  const named = splitName(textAt(event, ...pointers(fields.reference, REFERENCES)) ?? "");
  const subject = splitName(known.subject ?? "");
  // A reference that only says the tag is no name: `{"name": "app", "reference": "v1"}`.
  const isName = fields.reference !== undefined || named.registryHost !== undefined || named.tag !== undefined;
  const inRepository = splitName(textAt(event, ...pointers(fields.repository, REPOSITORIES)) ?? "");
  const repository =
    inRepository.repository ??
    (isName || named.repository?.includes("/") ? named.repository : undefined) ??
    subject.repository;
  const refused = refusal(event, fields, known);
  if (refused !== null) {
    return [ignoredOf(repository ?? known.subject ?? "event", refused)];
  }
  const tags = pointers(fields.tag, TAGS)
    .map((pointer) => textsIn(event, pointer))
    .find((texts) => texts.some((text) => tagAndDigest(text).tag !== undefined && !text.includes("/")));
  // Looked up once: a delivery within its size can name a hundred thousand tags.
  const shared = {
    registryHost:
      hostIn(textAt(event, ...pointers(fields.registryHost, HOSTS))) ??
      inRepository.registryHost ??
      named.registryHost ??
      subject.registryHost ??
      known.registryHost,
    repository,
    mediaType: textAt(event, ...pointers(fields.mediaType, MEDIA_TYPES)),
    pushedAt:
      pointers(fields.pushedAt, TIMES)
        .map((pointer) => valueAt(event, pointer))
        .find((value) => value !== undefined) ?? known.pushedAt,
    deliveryId: textAt(event, ...pointers(fields.deliveryId, IDS)) ?? known.deliveryId,
  };
  const digest = textAt(event, ...pointers(fields.digest, DIGESTS));
  const others = [named.tag, inRepository.tag, digest, named.digest, inRepository.digest, subject.tag, subject.digest];
  return (tags?.slice(0, MAX_PUSHES + 1) ?? [undefined]).map((tag) =>
    pushOf(sender, { ...shared, references: [tag, ...others] }),
  );
}

/** Why the event is no push; null: it may be one. */
function refusal(event: unknown, fields: FieldPointers, known: Known): string | null {
  const action = textAt(event, ...pointers(fields.action, ACTIONS)) ?? known.action;
  if (fields.pushActions !== undefined) {
    return action !== undefined && fields.pushActions.includes(action)
      ? null
      : `its action "${action ?? ""}" is not among the hook's "fields.pushActions"`;
  }
  return action === undefined || soundOf(action) === "push" ? null : `its action "${action}" is no push`;
}

/** What is configured stands alone: it must not be filled up with a guess. */
function pointers(configured: string | undefined, usual: readonly string[]): readonly string[] {
  return configured === undefined ? usual : [configured];
}

/** A field that is an object is another shape's, not a list of tags. */
function textsIn(event: unknown, pointer: string): string[] {
  return isObject(valueAt(event, pointer)) ? [] : textsAt(event, pointer);
}

function pings(body: unknown): boolean {
  const action = textAt(body, ...ACTIONS);
  return action !== undefined && soundOf(action) === "ping";
}

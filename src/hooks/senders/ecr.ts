/**
 * Amazon ECR through EventBridge and an API destination (AWS documentation, "Amazon ECR events and EventBridge"), as sent
 * or reshaped by an input transformer into CloudEvents of the types `com.amazon.ecr.*`. Nothing is signed: the connection's
 * API key, password or OAuth token is what a hook checks.
 */
import type { Parsed, Sender } from "../contract.ts";
import { cloudEventsOf, type CloudEvent } from "../cloud-events.ts";
import { isObject, textAt, textsAt, valueAt } from "../json.ts";
import { splitName } from "../names.ts";
import { collected, ignoredOf, invalid, pushOf, soundOf, type Find } from "../pushes.ts";

const CLOUD_EVENTS = "com.amazon.ecr.";

/** An image that replication brought to a region was pushed there as much as any other. */
const ACTIONS: ReadonlySet<string> = new Set(["push", "replicate"]);

/** Domains of the partitions; every other region is in the first one. */
const DOMAINS: readonly [regions: RegExp, domain: string][] = [
  [/^cn-/, "amazonaws.com.cn"],
  [/^eusc-/, "amazonaws.eu"],
  [/^us-iso-/, "c2s.ic.gov"],
  [/^us-isob-/, "sc2s.sgov.gov"],
];

export const ecr: Sender = {
  name: "ecr",
  recognises: (headers, body) =>
    textAt(body, "/source") === "aws.ecr" ||
    (isObject(valueAt(body, "/detail")) && (textAt(body, "/detail-type") ?? "").startsWith("ECR ")) ||
    cloudEventsOf(headers, body).some(({ type }) => type.startsWith(CLOUD_EVENTS)),
  parse({ headers, body }): Parsed {
    const events = cloudEventsOf(headers, body);
    if (events.length > 0) {
      return collected(events.flatMap(readCloudEvent));
    }
    const all = Array.isArray(body) ? body : [body];
    return all.some((event) => isObject(valueAt(event, "/detail")))
      ? collected(all.flatMap(readEvent))
      : invalid('it has no "detail", which EventBridge sends');
  },
};

function readEvent(event: unknown): Find[] {
  const detail = valueAt(event, "/detail");
  const repository = textAt(detail, "/repository-name");
  const action = actionOf(detail);
  if (!ACTIONS.has(action)) {
    const type = textAt(event, "/detail-type") ?? "event";
    return [ignoredOf(repository ?? type, `its action "${action}" (${type}) is no push`)];
  }
  const result = textAt(detail, "/result");
  if (result !== undefined && result.toUpperCase() !== "SUCCESS") {
    return [ignoredOf(repository ?? "event", `the push ended with "${result}"`)];
  }
  const registryHost = hostOf(textAt(event, "/account"), textAt(event, "/region"));
  return pushes({ event: detail, repository, registryHost, time: valueAt(event, "/time"), id: textAt(event, "/id") });
}

/** What a pull through ECR's cache has brought from another registry is new there, and has a status in place of an action. */
function actionOf(detail: unknown): string {
  const action = textAt(detail, "/action-type");
  const isCached = textAt(detail, "/sync-status")?.toUpperCase() === "SUCCESS";
  return action?.toLowerCase() ?? (isCached ? "push" : "");
}

function readCloudEvent({ type, source, subject, data, time, id }: CloudEvent): Find[] {
  if (soundOf(type) !== "push") {
    return [ignoredOf(subject ?? type, `the event type "${type}" is no push`)];
  }
  // urn:aws:ecr:REGION:ACCOUNT:repository/NAME, or the ARN of the same.
  const [, region, account, name] = /:ecr:([a-z0-9-]+):(\d+):repository\/(.+)$/.exec(source ?? "") ?? [];
  const named = splitName(subject ?? "");
  const registryHost = hostOf(account ?? textAt(data, "/registryId", "/account"), region ?? textAt(data, "/region"));
  const repository = textAt(data, "/repository-name") ?? name ?? named.repository;
  return pushes({ event: data, repository, registryHost, time, id, also: [named.tag, named.digest] });
}

interface Told {
  event: unknown;
  repository: string | undefined;
  registryHost: string | undefined;
  time: unknown;
  id: string | undefined;
  /** What else may be tag or digest. */
  also?: readonly (string | undefined)[];
}

function pushes({ event, repository, registryHost, time, id, also = [] }: Told): Find[] {
  const tags = [...textsAt(event, "/image-tag"), ...textsAt(event, "/image-tags")];
  return (tags.length === 0 ? [undefined] : tags).map((tag) =>
    pushOf("ecr", {
      registryHost,
      repository,
      references: [tag, textAt(event, "/image-digest"), ...also],
      mediaType: textAt(event, "/manifest-media-type"),
      pushedAt: time,
      deliveryId: id,
    }),
  );
}

function hostOf(account: string | undefined, region: string | undefined): string | undefined {
  if (account === undefined || region === undefined || !/^\d+$/.test(account) || !/^[a-z0-9-]+$/.test(region)) {
    return undefined;
  }
  const domain = DOMAINS.find(([regions]) => regions.test(region))?.[1] ?? "amazonaws.com";
  return `${account}.dkr.ecr.${region}.${domain}`;
}

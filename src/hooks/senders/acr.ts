/**
 * Azure Container Registry: its own webhooks, whose single events look like distribution's, and the same through Event
 * Grid, in Event Grid's schema or as CloudEvents (Microsoft Learn, "Webhook schema reference", "Container Registry as Event
 * Grid source"). Event Grid asks first whether its events are wanted ("Webhook event delivery"); the question of
 * CloudEvents, an OPTIONS request, is answered in `deliver.ts` for every sender.
 */
import type { Parsed, Sender } from "../contract.ts";
import { cloudEventsOf } from "../cloud-events.ts";
import { isObject, textAt, valueAt } from "../json.ts";
import { collected, ignoredOf, ignoring, invalid, pushOf, type Find } from "../pushes.ts";
import { isRegistryEvent, readRegistryEvent } from "./distribution.ts";

const SUBSCRIPTION_VALIDATION = "microsoft.eventgrid.subscriptionvalidationevent";
const REGISTRY_EVENTS = "microsoft.containerregistry.";
const IMAGE_PUSHED = `${REGISTRY_EVENTS}imagepushed`;

interface GridEvent {
  type: string;
  id: string | undefined;
  subject: string | undefined;
  /** Ends with the registry's resource id. */
  source: string | undefined;
  time: unknown;
  data: unknown;
}

export const acr: Sender = {
  name: "acr",
  recognises: (headers, body) =>
    headers.has("aeg-event-type") ||
    gridEventsOf(headers, body).some(({ type }) => type.startsWith("microsoft.")) ||
    (headers.get("user-agent") ?? "").startsWith("AzureContainerRegistry/") ||
    isRegistryEvent(body),
  parse({ headers, body }) {
    const events = gridEventsOf(headers, body);
    const validation = events.find(({ type }) => type === SUBSCRIPTION_VALIDATION);
    if (validation !== undefined) {
      return validated(validation);
    }
    if (events.length > 0) {
      return collected(events.map(readGridEvent));
    }
    const action = (textAt(body, "/action") ?? "").toLowerCase();
    if (action === "ping") {
      return { kind: "ping" };
    }
    if (action === "") {
      return invalid('it has no "action", which Azure Container Registry sends');
    }
    if (action.startsWith("chart_")) {
      return ignoring(`the action "${action}" is about charts of Helm 2, which are no OCI artifacts`);
    }
    return collected([readRegistryEvent("acr", body)]);
  },
};

/** Event Grid's question is answered in its own words; `validationUrl` is not called: it is only for those who cannot. */
function validated(event: GridEvent): Parsed {
  const code = textAt(event.data, "/validationCode");
  return code === undefined
    ? invalid('Event Grid\'s validation event has no "data.validationCode"')
    : { kind: "handshake", answer: { status: 200, headers: {}, body: { validationResponse: code } } };
}

function readGridEvent(event: GridEvent): Find {
  const what = event.subject ?? event.type;
  if (!event.type.startsWith(REGISTRY_EVENTS)) {
    return ignoredOf(what, `the event type "${event.type}" is not about a container registry`);
  }
  if (event.type !== IMAGE_PUSHED) {
    return ignoredOf(what, `the event type "${event.type}" is no push of an image`);
  }
  const find = readRegistryEvent("acr", event.data);
  if ("ignored" in find) {
    return find;
  }
  const { push } = find;
  return pushOf("acr", {
    ...push,
    registryHost: push.registryHost ?? textAt(event.data, "/loginServer") ?? hostOfResource(event.source),
    references: [push.tag, push.digest],
    pushedAt: push.pushedAtMs ?? event.time,
    deliveryId: event.id ?? push.deliveryId,
  });
}

/** `…/Microsoft.ContainerRegistry/registries/NAME`: an import has no request, and so no host. */
function hostOfResource(resource: string | undefined): string | undefined {
  const name = /\/registries\/([A-Za-z0-9]+)$/i.exec(resource ?? "")?.[1];
  return name === undefined ? undefined : `${name.toLowerCase()}.azurecr.io`;
}

function gridEventsOf(headers: Headers, body: unknown): GridEvent[] {
  const cloudEvents = cloudEventsOf(headers, body);
  if (cloudEvents.length > 0) {
    return cloudEvents.map(({ type, id, subject, source, time, data }) => {
      return { type: type.toLowerCase(), id, subject, source, time, data };
    });
  }
  const events = Array.isArray(body) ? body : [body];
  return events.flatMap((event) => {
    const type = isObject(event) ? textAt(event, "/eventType")?.toLowerCase() : undefined;
    return type === undefined
      ? []
      : [
          {
            type,
            id: textAt(event, "/id"),
            subject: textAt(event, "/subject"),
            source: textAt(event, "/topic"),
            time: valueAt(event, "/eventTime"),
            data: valueAt(event, "/data"),
          },
        ];
  });
}

/**
 * CloudEvents of no known type, in structured, batched and binary mode: the type says whether it is a push, the data (and
 * for what it lacks the subject and the source) say of what.
 */
import type { Sender } from "../contract.ts";
import { cloudEventsOf, type CloudEvent } from "../cloud-events.ts";
import { collectedWhole, type Find, invalid, MAX_PUSHES, soundOf } from "../pushes.ts";
import { readEvents } from "./generic.ts";

export const genericCloudEvents: Sender = {
  name: "cloudevents",
  recognises: (headers, body) => cloudEventsOf(headers, body).length > 0,
  parse({ headers, body }, hook) {
    const events = cloudEventsOf(headers, body);
    if (events.length === 0) {
      return invalid('it is no CloudEvent: it has neither a "ce-type" header nor "specversion" and "type" in its body');
    }
    if (events.every(({ type }) => soundOf(type) === "ping")) {
      return { kind: "ping" };
    }
    const finds: Find[] = [];
    for (const event of events) {
      const known = {
        deliveryId: event.id,
        pushedAt: event.time,
        subject: event.subject,
        action: event.type,
        registryHost: hostOfSource(event),
      };
      finds.push(...readEvents("cloudevents", event.data, hook.fields ?? {}, known));
      if (finds.length > MAX_PUSHES) {
        break;
      }
    }
    return collectedWhole(finds);
  },
};

/** A source that is nothing but a host is the registry's; one with a path may be a build server's. */
function hostOfSource({ source }: CloudEvent): string | undefined {
  const [, host] = /^(?:https?:\/\/|\/\/)?([^/:?#@]+(?:\.[^/:?#@.]+|:\d+)(?::\d+)?)\/?$/i.exec(source ?? "") ?? [];
  return host;
}

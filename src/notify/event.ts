/** What receivers are told: the end of a copy as a CloudEvent 1.0 in its structured JSON form. Pure. */
import { inPattern, readPattern } from "../access/pattern.ts";
import type { CopyView } from "../job/contract.ts";
import { parseName } from "../registry/reference.ts";
import type { EndState, NotificationTarget } from "./contract.ts";

/** CloudEvents, "HTTP Protocol Binding", structured mode. */
export const CONTENT_TYPE = "application/cloudevents+json; charset=utf-8";

/** Where the events of this service come from; with `id` it names one event (CloudEvents, "source"). */
const SOURCE = "urn:drayage:copies";

/** Registries may warn a hundred times; receivers want small messages (Standard Webhooks: below 20 KB). */
const MAX_WARNINGS = 10;

export interface EndedCopy extends CopyView {
  state: EndState;
}

export interface CopyEndedEvent {
  specversion: "1.0";
  id: string;
  source: string;
  type: `dev.drayage.copy.${EndState}`;
  /** The copy. */
  subject: string;
  time: string;
  datacontenttype: "application/json";
  data: EndedCopy;
}

/** A copy ends once, so its end has one event, with an id that follows from the copy's. */
export function eventIdOf(copy: string): string {
  return `evt_${copy.replace(/^cp_/, "")}`;
}

export function hasEnded(copy: CopyView): copy is EndedCopy {
  return copy.state === "succeeded" || copy.state === "failed" || copy.state === "cancelled";
}

/** @param endedAtMs Where the copy itself does not say when it ended. */
export function eventOf(copy: EndedCopy, endedAtMs: number): CopyEndedEvent {
  return {
    specversion: "1.0",
    id: eventIdOf(copy.id),
    source: SOURCE,
    type: `dev.drayage.copy.${copy.state}`,
    subject: copy.id,
    time: copy.times.doneAt ?? new Date(endedAtMs).toISOString(),
    datacontenttype: "application/json",
    data: { ...copy, warnings: copy.warnings.slice(0, MAX_WARNINGS) },
  };
}

/** Whether this receiver is told of this end. Of a dry run nobody is: nothing has happened. */
export function concerns({ events, sources, targets }: NotificationTarget, copy: EndedCopy): boolean {
  return (
    !copy.dryRun &&
    events.includes(copy.state) &&
    fits(copy.source.reference, sources) &&
    fits(copy.target.reference, targets)
  );
}

function fits(reference: string, patterns: readonly string[] | null): boolean {
  const name = parseName(reference);
  return (
    patterns === null || patterns.map(readPattern).some((pattern) => !("fault" in pattern) && inPattern(name, pattern))
  );
}

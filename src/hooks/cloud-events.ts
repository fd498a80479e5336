/**
 * Reads CloudEvents 1.0 over HTTP: structured (one JSON object), batched (a list of them) and binary (attributes in `ce-`
 * headers, the body is the data). Pure.
 */
import { isObject, parsed, textAt } from "./json.ts";

export interface CloudEvent {
  type: string;
  id?: string;
  source?: string;
  subject?: string;
  /** As sent. */
  time?: string;
  data: unknown;
  /** All attributes, extensions included. */
  attributes: Readonly<Record<string, unknown>>;
}

/** The events of a delivery; empty: it carries none. */
export function cloudEventsOf(headers: Headers, body: unknown): CloudEvent[] {
  if (headers.has("ce-type")) {
    return eventsOf([{ ...attributesIn(headers), data: body }]);
  }
  const contentType = (headers.get("content-type") ?? "").toLowerCase();
  const declared = contentType.startsWith("application/cloudevents");
  const events = Array.isArray(body) ? body : [body];
  return eventsOf(
    events.filter((event) => isObject(event) && (declared || textAt(event, "/specversion") !== undefined)),
  );
}

function eventsOf(envelopes: readonly unknown[]): CloudEvent[] {
  const events: CloudEvent[] = [];
  for (const envelope of envelopes) {
    const type = textAt(envelope, "/type");
    if (!isObject(envelope) || type === undefined) {
      continue;
    }
    const event: CloudEvent = { type, data: dataOf(envelope), attributes: envelope };
    for (const name of ["id", "source", "subject", "time"] as const) {
      const value = textAt(envelope, `/${name}`);
      if (value !== undefined) {
        event[name] = value;
      }
    }
    events.push(event);
  }
  return events;
}

/** JSON also where it was wrapped as text or base64. */
function dataOf(envelope: Record<string, unknown>): unknown {
  const encoded = textAt(envelope, "/data_base64");
  if (encoded !== undefined) {
    return parsed(fromBase64(encoded) ?? "");
  }
  const data = envelope["data"];
  return typeof data === "string" ? (parsed(data) ?? data) : data;
}

/** The text in base64 or base64url, null where it is neither or no UTF-8. */
export function fromBase64(encoded: string): string | null {
  try {
    const binary = atob(encoded.replaceAll("-", "+").replaceAll("_", "/"));
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(
      Uint8Array.from(binary, (char) => char.charCodeAt(0)),
    );
  } catch {
    return null;
  }
}

function attributesIn(headers: Headers): Record<string, string> {
  const attributes: Record<string, string> = {};
  headers.forEach((value, name) => {
    if (name.toLowerCase().startsWith("ce-")) {
      attributes[name.slice(3).toLowerCase()] = decoded(value);
    }
  });
  return attributes;
}

/** Values of attributes are percent-encoded (CloudEvents HTTP binding, 3.1.3.2); senders forget it. */
function decoded(value: string): string {
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}

/** Says what went wrong as one paragraph for a person: whose fault, what was asked, what was answered, what to do. */
import type { CopyView } from "../../job/contract.ts";
import type { ErrorDetail } from "../../registry/errors.ts";
import type { Problem } from "../client.ts";

/** For a copy that ended as `failed` or `cancelled`. */
export function failureText(view: CopyView): string {
  const what = `${view.source.reference} → ${view.target.reference}`;
  if (view.state === "cancelled") {
    return view.tags.all > 1
      ? `Cancelled: ${what}. ${view.tags.copied} of ${view.tags.all} tags had been copied; the others are as they were.`
      : `Cancelled: ${what}. The target's tag is as it was.`;
  }
  if (view.error === null) {
    return `The copy failed: ${what}, without an explanation.`;
  }
  const { all, copied, unchanged } = view.tags;
  const rest = all > 1 ? ` ${copied + unchanged} of ${all} tags are at the target.` : "";
  return `The copy failed: ${what}. ${errorText(view.error)}${rest}`;
}

/** For an answer of the service other than a copy. */
export function problemText(problem: Problem): string {
  if (problem.error !== undefined && problem.error.message !== problem.detail) {
    return `${sentence(problem.detail)} ${errorText(problem.error)}`;
  }
  const fields = (problem.errors ?? []).filter(({ message }) => !problem.detail.includes(message));
  const list = fields.map(({ field, message }) => sentence(field === "" ? message : `${field}: ${message}`));
  return [sentence(problem.detail), ...list].join(" ");
}

/** The detail's own sentence says what was asked and answered; what it lacks of side, host and status is added. */
function errorText(error: ErrorDetail): string {
  const host = error.host === "" || error.message.includes(error.host) ? "" : ` ${error.host}`;
  const sides = { source: `At the source${host}: `, target: `At the target${host}: `, request: "", service: "" };
  const status = error.status === undefined || error.message.includes(String(error.status));
  const message = status ? sentence(error.message) : `${sentence(error.message)} (Status ${error.status}.)`;
  const text = `${sides[error.side]}${message}${schemeHint(error)}`;
  if (error.retryAt !== undefined) {
    return `${text} Try again after ${new Date(error.retryAt).toISOString()}.`;
  }
  return error.retryable ? `${text} The same copy may succeed later; what has arrived is not sent again.` : text;
}

/** Go's servers say so to whoever speaks plain HTTP to them, as is done on loopback. */
function schemeHint({ message, host }: ErrorDetail): string {
  return message.includes("HTTP request to an HTTPS server")
    ? ` It speaks HTTPS: set tls = "enabled" in the host settings, under [hosts."${host}"].`
    : "";
}

/** With its full stop; the first letter stays, since it may be a host's or a field's. */
function sentence(text: string): string {
  const trimmed = text.trim();
  return /[.!?)]$/.test(trimmed) ? trimmed : `${trimmed}.`;
}

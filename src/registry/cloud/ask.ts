/**
 * One question to a cloud, and its answer read by a schema. What is asked stands in the file of each cloud; bounds, errors
 * and redaction in endpoint.ts.
 */
import type * as z from "zod";
import type { Credential } from "../credentials.ts";
import { endpointError, refusedBy, sendTo, textOf, type EndpointOptions, type EndpointRequest } from "../endpoint.ts";

/** A credential that is good for a while. */
export type ObtainedCredential = Credential & { expiresAtMs: number };

/** Asks a cloud for a credential anew. @throws CopyError */
export type Obtain = () => Promise<ObtainedCredential>;

export interface CloudQuestion extends EndpointRequest {
  /** Who is asked, for errors: "AWS STS". */
  who: string;
  /** What must never be seen in an error. */
  secrets: readonly string[];
}

/** The scheme of `Content-Type` for OAuth2 and AWS's query protocol. */
export const FORM = { "content-type": "application/x-www-form-urlencoded" };

/**
 * The answer as text.
 * @throws CopyError `unauthorized` when the cloud refuses, `rate_limited`, `unavailable` or `connection` when it may later.
 */
export async function askForText(options: EndpointOptions, question: CloudQuestion): Promise<string> {
  const { method, url, headers, body, secrets } = question;
  const endpoint = endpointOf(question);
  const response = await sendTo(options, { method, url, headers, body });
  if (!response.ok) {
    const advice = `check the entry for ${options.host} in REGISTRY_CREDENTIALS`;
    throw await refusedBy(options, { endpoint, advice, secrets }, response);
  }
  return textOf(options, endpoint, response);
}

/** The answer as JSON of a shape. @throws CopyError as {@link askForText}; `unauthorized` when it has another shape. */
export async function askForJson<T>(
  options: EndpointOptions,
  question: CloudQuestion,
  schema: z.ZodType<T>,
): Promise<T> {
  const answer = schema.safeParse(parseJson(await askForText(options, question)));
  if (!answer.success) {
    throw unusable(options, question);
  }
  return answer.data;
}

/** The error for an answer that was no refusal, and yet not what was asked for. */
export function unusable(options: EndpointOptions, question: CloudQuestion): Error {
  return endpointError(
    options,
    "unauthorized",
    false,
    `${endpointOf(question)} answered without what it was asked for`,
  );
}

function endpointOf({ who, url }: CloudQuestion): string {
  return `${who} (${url.host})`;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

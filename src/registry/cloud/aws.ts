/**
 * Requests to AWS, signed with Signature Version 4, and the keys they are signed with: those of the entry, or temporary
 * ones of a role (AssumeRole, AssumeRoleWithWebIdentity; AWS STS API reference).
 */
import { AwsV4Signer } from "aws4fetch";
import type { EcrCredential } from "../../config/registry-credentials.ts";
import type { EndpointOptions } from "../endpoint.ts";
import { askForText, FORM, unusable, type CloudQuestion } from "./ask.ts";
import type { EcrHost } from "./ecr-host.ts";
import { identityToken } from "./identity.ts";

export interface AwsKeys {
  accessKeyId: string;
  secretAccessKey: string;
  sessionToken?: string;
}

/** The shortest that AWS allows: the keys are used once, for a password of the registry. */
const ROLE_SECONDS = 900;

/** Shown in the account's CloudTrail. */
const SESSION_NAME = "drayage";

export interface AwsRequest {
  host: string;
  service: "ecr" | "ecr-public" | "sts";
  region: string;
  headers: Record<string, string>;
  body: string;
}

/** The question with its signature in the headers. The time of signing is the options' `now`. */
export async function signed(
  { now }: EndpointOptions,
  keys: AwsKeys,
  { host, service, region, headers, body }: AwsRequest,
): Promise<CloudQuestion> {
  const signer = new AwsV4Signer({
    ...keys,
    method: "POST",
    url: `https://${host}/`,
    headers,
    body,
    service,
    region,
    datetime: new Date(now()).toISOString().replaceAll(/[:-]|\.\d{3}/g, ""),
  });
  const { url, headers: signedHeaders } = await signer.sign();
  return {
    who: service === "sts" ? "AWS STS" : "Amazon ECR",
    method: "POST",
    url,
    headers: Object.fromEntries(signedHeaders),
    body,
    secrets: [keys.secretAccessKey, keys.sessionToken ?? "", keys.accessKeyId],
  };
}

/** The keys to sign with. @throws CopyError when STS refuses, or the identity's issuer does. */
export async function awsKeys(options: EndpointOptions, entry: EcrCredential, host: EcrHost): Promise<AwsKeys> {
  const { access_key_id: accessKeyId, secret_access_key: secretAccessKey, session_token: sessionToken } = entry;
  const { role_arn: role, identity } = entry;
  if (identity !== undefined && role !== undefined) {
    const token = await identityToken(options, identity);
    const form = roleForm(entry, role, { Action: "AssumeRoleWithWebIdentity", WebIdentityToken: token });
    // Who the caller is says the token alone: the request has no signature.
    const url = new URL(`https://${host.sts}/`);
    const question = { who: "AWS STS", method: "POST" as const, url, headers: FORM, body: form, secrets: [token] };
    return keysOf(options, question, await askForText(options, question));
  }
  const keys: AwsKeys = {
    accessKeyId: accessKeyId ?? "",
    secretAccessKey: secretAccessKey ?? "",
    ...(sessionToken === undefined ? {} : { sessionToken }),
  };
  if (role === undefined) {
    return keys;
  }
  const body = roleForm(entry, role, { Action: "AssumeRole" });
  const { sts, region } = host;
  const question = await signed(options, keys, { host: sts, service: "sts", region, headers: FORM, body });
  return keysOf(options, question, await askForText(options, question));
}

function roleForm(entry: EcrCredential, role: string, fields: Record<string, string>): string {
  const { role_session_name: name = SESSION_NAME, external_id: externalId } = entry;
  const form = new URLSearchParams({
    ...fields,
    Version: "2011-06-15",
    RoleArn: role,
    RoleSessionName: name,
    DurationSeconds: String(ROLE_SECONDS),
  });
  if (externalId !== undefined && fields["Action"] === "AssumeRole") {
    form.set("ExternalId", externalId);
  }
  return form.toString();
}

/** STS answers in XML, of which three elements count; none of them can hold an entity. */
function keysOf(options: EndpointOptions, question: CloudQuestion, xml: string): AwsKeys {
  const [accessKeyId, secretAccessKey, sessionToken] = ["AccessKeyId", "SecretAccessKey", "SessionToken"].map(
    (name) => new RegExp(`<${name}>\\s*([^<\\s]+)\\s*</${name}>`).exec(xml)?.[1],
  );
  if (accessKeyId === undefined || secretAccessKey === undefined || sessionToken === undefined) {
    throw unusable(options, question);
  }
  return { accessKeyId, secretAccessKey, sessionToken };
}

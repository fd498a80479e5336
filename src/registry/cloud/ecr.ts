/**
 * Amazon ECR, private and public: GetAuthorizationToken gives a password for the user `AWS` that is good for twelve hours at
 * every registry the keys may use, in whichever account (Amazon ECR API reference).
 */
import * as z from "zod";
import type { EcrCredential } from "../../config/registry-credentials.ts";
import { endpointError, type EndpointOptions } from "../endpoint.ts";
import { askForJson, type ObtainedCredential } from "./ask.ts";
import { awsKeys, signed } from "./aws.ts";
import { ecrOfRegion, parseEcrHost } from "./ecr-host.ts";

/** What a password is good for where the answer does not say. */
const PASSWORD_LIFE_MS = 12 * 60 * 60_000;

const Authorization = z.object({ authorizationToken: z.string().min(1), expiresAt: z.number().optional() });

/** The private API answers with a list of one. */
const Answer = z.object({ authorizationData: z.union([z.array(Authorization).min(1), Authorization]) });

/** @throws CopyError `configuration` for a host whose region nobody said; else as the cloud's questions do. */
export async function obtainEcr(options: EndpointOptions, entry: EcrCredential): Promise<ObtainedCredential> {
  const named = parseEcrHost(options.host);
  const host = named ?? (entry.region === undefined ? null : ecrOfRegion(entry.region));
  if (host === null) {
    const problem = "which region of Amazon ECR it is in is not known; add region to its REGISTRY_CREDENTIALS";
    throw endpointError(options, "configuration", false, problem);
  }
  const keys = await awsKeys(options, entry, host);
  const target = host.isPublic ? "SpencerFrontendService" : "AmazonEC2ContainerRegistry_V20150921";
  const question = await signed(options, keys, {
    host: host.api,
    service: host.isPublic ? "ecr-public" : "ecr",
    region: host.region,
    headers: { "content-type": "application/x-amz-json-1.1", "x-amz-target": `${target}.GetAuthorizationToken` },
    body: "{}",
  });
  const { authorizationData } = await askForJson(options, question, Answer);
  const [given] = Array.isArray(authorizationData) ? authorizationData : [authorizationData];
  const pair = decoded(given?.authorizationToken ?? "");
  const colon = pair.indexOf(":");
  if (given === undefined || colon < 1) {
    throw endpointError(options, "unauthorized", false, "Amazon ECR gave a password that cannot be read");
  }
  const expiresAtMs =
    given.expiresAt === undefined ? options.now() + PASSWORD_LIFE_MS : Math.floor(given.expiresAt * 1000);
  return { kind: "basic", username: pair.slice(0, colon), password: pair.slice(colon + 1), expiresAtMs };
}

function decoded(base64: string): string {
  try {
    return atob(base64);
  } catch {
    return "";
  }
}

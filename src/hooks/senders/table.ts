/** All senders, and which one a delivery is from: the one that the hook names, or the first that recognises it. */
import type { Hook, Sender, SenderName } from "../contract.ts";
import { isObject } from "../json.ts";
import { acr } from "./acr.ts";
import { aliyun } from "./aliyun.ts";
import { distribution } from "./distribution.ts";
import { dockerHub } from "./docker-hub.ts";
import { ecr } from "./ecr.ts";
import { generic } from "./generic.ts";
import { genericCloudEvents } from "./generic-cloud-events.ts";
import { ghcr } from "./ghcr.ts";
import { gitea } from "./gitea.ts";
import { gitlab } from "./gitlab.ts";
import { google } from "./google.ts";
import { harbor } from "./harbor.ts";
import { jfrog } from "./jfrog.ts";
import { nexus } from "./nexus.ts";
import { quay } from "./quay.ts";
import { zot } from "./zot.ts";

const BY_NAME: Readonly<Record<SenderName, Sender>> = {
  acr,
  aliyun,
  cloudevents: genericCloudEvents,
  distribution,
  dockerhub: dockerHub,
  ecr,
  generic,
  ghcr,
  gitea,
  gitlab,
  google,
  harbor,
  jfrog,
  nexus,
  quay,
  zot,
};

/**
 * The order in which they are asked: those with headers of their own, then shapes that others resemble (Gitea sends
 * GitHub's headers, GitLab distribution's body, Alibaba Docker Hub's), then whatever has the right words in it.
 */
const RECOGNITION: readonly Sender[] = [
  gitea,
  ghcr,
  nexus,
  jfrog,
  gitlab,
  harbor,
  zot,
  ecr,
  google,
  acr,
  distribution,
  genericCloudEvents,
  aliyun,
  dockerHub,
  quay,
  generic,
];

/** Lists begin with what they are made of; asking sixteen senders about all of one would be work before any proof. */
const MAX_SAMPLED = 20;

/** Null: the hook takes deliveries of any sender, and none recognises this one. */
export function senderOf(hook: Hook, headers: Headers, body: unknown): Sender | null {
  if (hook.sender !== "auto") {
    return BY_NAME[hook.sender];
  }
  const sample = sampled(body);
  return RECOGNITION.find((sender) => sender.recognises(headers, sample)) ?? null;
}

/** The body with the lists that deliveries consist of cut short. */
function sampled(body: unknown): unknown {
  if (Array.isArray(body)) {
    return body.slice(0, MAX_SAMPLED);
  }
  return isObject(body) && Array.isArray(body["events"])
    ? { ...body, events: body["events"].slice(0, MAX_SAMPLED) }
    : body;
}

/** Cloudflare's managed registry: an API token is exchanged for a user name and a password that live for a while. */
import * as z from "zod";
import type { CloudflareCredential } from "../../config/registry-credentials.ts";
import type { EndpointOptions } from "../endpoint.ts";
import { askForJson, type ObtainedCredential } from "./ask.ts";

/** Longer than any copy; short enough that a leaked one is soon of no use. */
const LIFE_MINUTES = 60;

const Answer = z.object({
  result: z.object({ username: z.string().min(1).default("v1"), password: z.string().min(1) }),
});

/** @throws CopyError as the cloud's questions do. */
export async function obtainCloudflare(
  options: EndpointOptions,
  { account_id: account, api_token: apiToken, permissions = ["pull", "push"] }: CloudflareCredential,
): Promise<ObtainedCredential> {
  const path = `/client/v4/accounts/${account}/containers/registries/${options.host}/credentials`;
  const question = {
    who: "Cloudflare's API",
    method: "POST" as const,
    url: new URL(path, "https://api.cloudflare.com"),
    headers: { "content-type": "application/json", authorization: `Bearer ${apiToken}` },
    body: JSON.stringify({ expiration_minutes: LIFE_MINUTES, permissions }),
    secrets: [apiToken],
  };
  const { result } = await askForJson(options, question, Answer);
  return { kind: "basic", ...result, expiresAtMs: options.now() + LIFE_MINUTES * 60_000 };
}

/** Which cloud is asked for a credential. */
import type { CloudCredential } from "../../config/registry-credentials.ts";
import type { EndpointOptions } from "../endpoint.ts";
import { obtainAcr } from "./acr.ts";
import type { ObtainedCredential } from "./ask.ts";
import { obtainCloudflare } from "./cloudflare.ts";
import { obtainEcr } from "./ecr.ts";
import { obtainGoogle } from "./google.ts";

/** A credential for the registry host of the options. @throws CopyError */
export async function obtain(options: EndpointOptions, entry: CloudCredential): Promise<ObtainedCredential> {
  if (entry.kind === "ecr") {
    return obtainEcr(options, entry);
  }
  if (entry.kind === "google") {
    return obtainGoogle(options, entry);
  }
  return entry.kind === "acr" ? obtainAcr(options, entry) : obtainCloudflare(options, entry);
}

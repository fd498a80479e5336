/**
 * JFrog Artifactory: the event "Tag was pushed" of the domain `docker`, and "Artifact was deployed" where it is a manifest
 * (JFrog documentation, "Webhook event types"). `X-JFrog-Event-Auth` holds the signature or, where signing is off, the
 * secret itself.
 */
import type { Sender } from "../contract.ts";
import { textAt } from "../json.ts";
import { hostIn } from "../names.ts";
import { collected, ignoring, invalid, pushOf } from "../pushes.ts";
import { isSigned, sendsSecret } from "../secrets.ts";

const AUTH_HEADER = "x-jfrog-event-auth";

/** Name of the file that a tag is in Artifactory's storage. */
const MANIFEST_FILES: ReadonlySet<string> = new Set(["manifest.json", "list.manifest.json"]);

const PUSHES: ReadonlySet<string> = new Set([
  "docker pushed",
  "docker promoted",
  "artifact deployed",
  "artifact cached",
]);

export const jfrog: Sender = {
  name: "jfrog",
  recognises: (headers, body) =>
    headers.has(AUTH_HEADER) ||
    textAt(body, "/jpd_origin") !== undefined ||
    (textAt(body, "/domain") !== undefined && textAt(body, "/data/repo_key") !== undefined),
  async verify(delivery, secret) {
    const signed = await isSigned(delivery, secret, [AUTH_HEADER]);
    const sent = await sendsSecret(delivery, secret, [AUTH_HEADER]);
    return signed || sent;
  },
  parse({ headers, body }) {
    const domain = textAt(body, "/domain")?.toLowerCase();
    const event = textAt(body, "/event_type", "/event")?.toLowerCase();
    if (domain === undefined || event === undefined) {
      return invalid('it has no "domain" and "event_type", which JFrog sends');
    }
    if (!PUSHES.has(`${domain} ${event}`)) {
      return ignoring(`the event "${event}" of the domain "${domain}" pushes no image`);
    }
    const segments = (textAt(body, "/data/path") ?? "").split("/").filter((segment) => segment !== "");
    const file = segments.pop();
    const isManifest = file !== undefined && MANIFEST_FILES.has(file);
    if (domain === "artifact" && !isManifest) {
      return ignoring(`the file "${file ?? ""}" is no manifest of an image`);
    }
    const version = isManifest ? segments.pop() : undefined;
    const image = textAt(body, "/data/image_name") ?? (isManifest ? segments.join("/") : "");
    const repositoryKey = textAt(body, "/data/repo_key");
    const sha256 = textAt(body, "/data/sha256");
    return collected([
      pushOf("jfrog", {
        registryHost: hostIn(textAt(body, "/jpd_origin")),
        repository: repositoryKey === undefined || image === "" ? undefined : `${repositoryKey}/${image}`,
        // A directory named `sha256:…` (or with two underscores) is a manifest without tag.
        references: [textAt(body, "/data/tag"), version, sha256]
          .map((text) => text?.replace(/^sha256__/, "sha256:"))
          .map((text) => (/^[0-9a-f]{64}$/.test(text ?? "") && text === sha256 ? `sha256:${text ?? ""}` : text)),
        deliveryId: textAt(body, "/id") ?? headers.get("x-jfrog-event-id") ?? undefined,
      }),
    ]);
  },
};

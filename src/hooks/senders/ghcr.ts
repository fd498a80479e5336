/**
 * GitHub's container registry: the webhook events `package` and `registry_package` (GitHub documentation, "Webhook events
 * and payloads"), signed as every webhook of GitHub.
 */
import type { Sender } from "../contract.ts";
import { isObject, textAt, valueAt } from "../json.ts";
import { hostIn, splitName } from "../names.ts";
import { collected, ignoring, invalid, pushOf } from "../pushes.ts";
import { isSigned } from "../secrets.ts";

const ACTIONS: ReadonlySet<string> = new Set(["published", "updated", "created"]);
/** `package_v2` was its name while it was new; GitHub Enterprise Server of these years still says so. */
const EVENTS: ReadonlySet<string> = new Set(["package", "registry_package", "package_v2"]);
const IMAGE_TYPES: ReadonlySet<string> = new Set(["container", "docker"]);

export const ghcr: Sender = {
  name: "ghcr",
  recognises: (headers) => headers.has("x-github-event"),
  verify: (delivery, secret) => isSigned(delivery, secret, ["x-hub-signature-256"]),
  parse({ headers, body }) {
    const event = headers.get("x-github-event")?.toLowerCase();
    if (event === "ping" || (event === undefined && textAt(body, "/zen") !== undefined)) {
      return { kind: "ping" };
    }
    const item = ["/registry_package", "/package"].map((name) => valueAt(body, name)).find(isObject);
    if (event !== undefined && !EVENTS.has(event)) {
      return ignoring(`the event "${event}" is not about packages; select "Registry packages" only`);
    }
    if (item === undefined) {
      return invalid('it has neither "package" nor "registry_package"');
    }
    const action = (textAt(body, "/action") ?? "").toLowerCase();
    if (!ACTIONS.has(action)) {
      return ignoring(`the action "${action}" pushes nothing`);
    }
    const type = (textAt(item, "/package_type", "/ecosystem", "/registry/type") ?? "").toLowerCase();
    if (!IMAGE_TYPES.has(type)) {
      return ignoring(`a package of type "${type}" is no container image`);
    }
    const named = splitName(textAt(item, "/package_version/package_url") ?? "");
    return collected([
      pushOf("ghcr", {
        registryHost: named.registryHost ?? hostIn(textAt(item, "/registry/url")) ?? "ghcr.io",
        // Owners may have upper case at GitHub; names of images never have.
        repository: (named.repository ?? ownName(item))?.toLowerCase(),
        references: [
          textAt(item, "/package_version/container_metadata/tag/name"),
          named.tag,
          textAt(item, "/package_version/container_metadata/tag/digest"),
          named.digest,
          ...digestsOf(textAt(item, "/package_version/version"), textAt(item, "/package_version/name")),
        ],
        pushedAt: valueAt(item, "/package_version/updated_at") ?? valueAt(item, "/updated_at"),
        deliveryId: headers.get("x-github-delivery") ?? undefined,
      }),
    ]);
  },
};

/** Versions of images are digests; one that is none is not taken for a tag, since it may be a name of anything. */
function digestsOf(...versions: readonly (string | undefined)[]): (string | undefined)[] {
  return versions.filter((version) => version?.includes(":"));
}

function ownName(item: unknown): string | undefined {
  const owner = textAt(item, "/namespace", "/owner/login");
  const name = textAt(item, "/name");
  return owner === undefined || name === undefined ? undefined : `${owner}/${name}`;
}

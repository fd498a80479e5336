/**
 * Sonatype Nexus: webhooks of a repository, for its components (name and version, which is the tag) and its assets (the
 * path of a manifest), signed with HMAC-SHA1 (Sonatype documentation, "Webhooks"). The registry's host is a connector of
 * the operator's choice: the hook's `registryHost`.
 */
import type { Sender } from "../contract.ts";
import { isObject, textAt, valueAt } from "../json.ts";
import { collected, ignoring, invalid, pushOf } from "../pushes.ts";
import { isSigned } from "../secrets.ts";

const ACTIONS: ReadonlySet<string> = new Set(["CREATED", "UPDATED"]);

export const nexus: Sender = {
  name: "nexus",
  recognises: (headers, body) =>
    headers.has("x-nexus-webhook-id") ||
    headers.has("x-nexus-webhook-signature") ||
    (textAt(body, "/repositoryName") !== undefined && textAt(body, "/nodeId") !== undefined),
  verify: (delivery, secret) => isSigned(delivery, secret, ["x-nexus-webhook-signature"], "SHA-1"),
  parse({ headers, body }) {
    const component = valueAt(body, "/component");
    const asset = valueAt(body, "/asset");
    const item = isObject(component) ? component : asset;
    if (!isObject(item)) {
      const id = headers.get("x-nexus-webhook-id");
      return id === null ? invalid('it has neither "component" nor "asset"') : ignoring(`"${id}" pushes no image`);
    }
    const action = (textAt(body, "/action") ?? "").toUpperCase();
    if (!ACTIONS.has(action)) {
      return ignoring(`the action "${action}" pushes nothing`);
    }
    const format = (textAt(item, "/format") ?? "").toLowerCase();
    if (format !== "docker") {
      return ignoring(`a component of the format "${format}" is no container image`);
    }
    const name = textAt(item, "/name");
    const [, path, reference] = /^\/?v2\/(.+)\/manifests\/([^/]+)$/.exec(name ?? "") ?? [];
    if (item === asset && path === undefined) {
      return ignoring(`the asset "${name ?? ""}" is no manifest`);
    }
    return collected([
      pushOf("nexus", {
        repository: path ?? name,
        references: [reference ?? textAt(item, "/version")],
        pushedAt: valueAt(body, "/timestamp"),
        deliveryId: headers.get("x-nexus-webhook-delivery") ?? undefined,
      }),
    ]);
  },
};

/**
 * Gitea and Forgejo: the webhook event "Package" (modules/structs/hook.go). They also send GitHub's headers, so they are
 * recognised before GitHub. The registry is at the server's own host, which the package's page names.
 */
import type { Sender } from "../contract.ts";
import { isObject, textAt, valueAt } from "../json.ts";
import { hostIn } from "../names.ts";
import { collected, ignoring, invalid, pushOf } from "../pushes.ts";
import { isSigned, sendsSecret } from "../secrets.ts";

const SIGNATURE_HEADERS = ["x-gitea-signature", "x-forgejo-signature", "x-gogs-signature", "x-hub-signature-256"];
const EVENT_HEADERS = ["x-forgejo-event", "x-gitea-event", "x-gogs-event"];
const DELIVERY_HEADERS = ["x-forgejo-delivery", "x-gitea-delivery", "x-gogs-delivery", "x-github-delivery"];

export const gitea: Sender = {
  name: "gitea",
  recognises: (headers) => first(headers, EVENT_HEADERS) !== undefined,
  async verify(delivery, secret) {
    const signed = await isSigned(delivery, secret, SIGNATURE_HEADERS);
    // The hook's optional "Authorization header".
    const sent = await sendsSecret(delivery, secret, []);
    return signed || sent;
  },
  parse({ headers, body }) {
    const event = first(headers, EVENT_HEADERS)?.toLowerCase();
    const item = valueAt(body, "/package");
    if (event !== undefined && event !== "package") {
      return event === "ping" ? { kind: "ping" } : ignoring(`the event "${event}" is not about packages`);
    }
    if (!isObject(item)) {
      // The button "Test delivery" sends a push of commits under whatever event the hook has.
      return textAt(body, "/ref") === undefined ? invalid('it has no "package"') : { kind: "ping" };
    }
    const action = (textAt(body, "/action") ?? "").toLowerCase();
    if (action !== "created" && action !== "updated") {
      return ignoring(`the action "${action}" pushes nothing`);
    }
    const type = (textAt(item, "/type") ?? "").toLowerCase();
    if (type !== "container") {
      return ignoring(`a package of type "${type}" is no container image`);
    }
    const owner =
      textAt(item, "/owner/login", "/owner/username", "/owner/name") ?? textAt(body, "/organization/username");
    const name = textAt(item, "/name");
    return collected([
      pushOf("gitea", {
        registryHost: hostIn(textAt(item, "/html_url") ?? textAt(body, "/repository/html_url", "/sender/html_url")),
        repository: owner === undefined || name === undefined ? undefined : `${owner}/${name}`.toLowerCase(),
        references: [textAt(item, "/version")],
        pushedAt: valueAt(item, "/created_at"),
        deliveryId: first(headers, DELIVERY_HEADERS),
      }),
    ]);
  },
};

function first(headers: Headers, names: readonly string[]): string | undefined {
  return names.map((name) => headers.get(name)).find((value) => value !== null) ?? undefined;
}

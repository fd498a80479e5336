/**
 * Google Artifact Registry and Container Registry: messages of the topic `gcr` by a Pub/Sub push subscription, wrapped (the
 * message in base64) or unwrapped (Google Cloud documentation, "Configure Pub/Sub notifications", "Payload unwrapping").
 * The subscription signs with a JSON Web Token: the hook's `token`.
 */
import type { Sender } from "../contract.ts";
import { fromBase64 } from "../cloud-events.ts";
import { isObject, parsed, textAt, valueAt } from "../json.ts";
import { splitName } from "../names.ts";
import { collected, ignoredOf, ignoring, invalid, pushOf } from "../pushes.ts";

export const google: Sender = {
  name: "google",
  recognises: (headers, body) =>
    (isObject(valueAt(body, "/message")) && textAt(body, "/subscription") !== undefined) ||
    headers.has("x-goog-pubsub-message-id") ||
    isNotification(body),
  parse({ headers, body }) {
    const message = valueAt(body, "/message");
    const wrapped = textAt(message, "/data");
    const notification = wrapped === undefined ? body : parsed(fromBase64(wrapped) ?? "");
    const isWrapped = isObject(message);
    if (!isObject(notification)) {
      // What is not 2xx comes again for days: a topic may have other messages than a registry's.
      return isWrapped ? ignoring('its "message.data" is not base64 of JSON') : invalid("it is no JSON object");
    }
    const action = (textAt(notification, "/action") ?? "").toUpperCase();
    const tagged = splitName(textAt(notification, "/tag") ?? "");
    const pinned = splitName(textAt(notification, "/digest") ?? "");
    const repository = tagged.repository ?? pinned.repository;
    if (action === "") {
      const problem = 'its message has no "action", which Google\'s registries send';
      return isWrapped ? ignoring(problem) : invalid(problem);
    }
    if (action !== "INSERT") {
      return collected([ignoredOf(repository ?? "image", `its action "${action}" is no push`)]);
    }
    return collected([
      pushOf("google", {
        registryHost: tagged.registryHost ?? pinned.registryHost,
        repository,
        references: [tagged.tag, pinned.digest, tagged.digest, pinned.tag],
        pushedAt: valueAt(message, "/publishTime"),
        deliveryId: textAt(message, "/messageId") ?? headers.get("x-goog-pubsub-message-id") ?? undefined,
      }),
    ]);
  },
};

function isNotification(body: unknown): boolean {
  const action = textAt(body, "/action");
  const name = splitName(textAt(body, "/digest", "/tag") ?? "");
  return (action === "INSERT" || action === "DELETE") && name.registryHost !== undefined;
}

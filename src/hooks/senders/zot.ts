/**
 * zot: CloudEvents in binary or structured mode (zot documentation, "Events"). Its `reference` is a tag or a digest; its
 * source is the same for every zot, so the hook's `registryHost` says which one it is.
 */
import type { Sender } from "../contract.ts";
import { cloudEventsOf } from "../cloud-events.ts";
import { textAt } from "../json.ts";
import { collected, ignoredOf, invalid, pushOf } from "../pushes.ts";

const PREFIX = "zotregistry.";
const IMAGE_UPDATED = `${PREFIX}image.updated`;

export const zot: Sender = {
  name: "zot",
  recognises: (headers, body) => cloudEventsOf(headers, body).some(({ type }) => type.startsWith(PREFIX)),
  parse({ headers, body }) {
    const events = cloudEventsOf(headers, body);
    if (events.length === 0) {
      return invalid("it is no CloudEvent, which zot sends");
    }
    return collected(
      events.map(({ type, data, id, time }) =>
        type === IMAGE_UPDATED
          ? pushOf("zot", {
              repository: textAt(data, "/name", "/repository"),
              references: [textAt(data, "/reference", "/tag"), textAt(data, "/digest")],
              mediaType: textAt(data, "/mediaType"),
              pushedAt: time,
              deliveryId: id,
            })
          : ignoredOf(textAt(data, "/name") ?? type, `the event type "${type}" is no push of an image`),
      ),
    );
  },
};

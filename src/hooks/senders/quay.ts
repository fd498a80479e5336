/**
 * Quay, quay.io and Red Hat Quay: the notification "Push to Repository", with every tag that was pushed and no digest
 * (Quay documentation, "Repository notifications"). Nothing is signed.
 */
import type { Sender } from "../contract.ts";
import { textAt, textsAt, valueAt } from "../json.ts";
import { hostIn, splitName } from "../names.ts";
import { collected, ignoring, invalid, pushOf } from "../pushes.ts";

export const quay: Sender = {
  name: "quay",
  recognises: (_headers, body) =>
    (textAt(body, "/docker_url") !== undefined &&
      (valueAt(body, "/updated_tags") !== undefined || textAt(body, "/homepage") !== undefined)) ||
    (valueAt(body, "/updated_tags") !== undefined && textAt(body, "/repository") !== undefined),
  parse({ body }) {
    const url = textAt(body, "/docker_url");
    const repository = textAt(body, "/repository");
    if (url === undefined && repository === undefined) {
      return invalid('it has no "docker_url", which Quay sends');
    }
    if (valueAt(body, "/updated_tags") === undefined) {
      return ignoring('it has no "updated_tags": of Quay\'s notifications only "Push to Repository" starts copies');
    }
    const named = splitName(url ?? "");
    const tags = textsAt(body, "/updated_tags");
    return collected(
      (tags.length === 0 ? [undefined] : tags).map((tag) =>
        pushOf("quay", {
          registryHost: named.registryHost ?? hostIn(textAt(body, "/homepage")),
          repository: named.repository ?? repository,
          references: [tag],
        }),
      ),
    );
  },
};

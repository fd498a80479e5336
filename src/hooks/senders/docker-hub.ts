/**
 * Docker Hub: one tag per delivery, no digest, no signature (Docker documentation, "Webhooks"). Its `callback_url` is not
 * called: an address in a payload is nobody's word.
 */
import { DOCKER_HUB } from "../../registry/reference.ts";
import type { Sender } from "../contract.ts";
import { isObject, textAt, valueAt } from "../json.ts";
import { collected, invalid, pushOf } from "../pushes.ts";

export const dockerHub: Sender = {
  name: "dockerhub",
  recognises: (_headers, body) => isObject(valueAt(body, "/push_data")) && isObject(valueAt(body, "/repository")),
  parse({ body }) {
    if (!isObject(valueAt(body, "/push_data"))) {
      return invalid('it has no object "push_data", which Docker Hub sends');
    }
    const namespace = textAt(body, "/repository/namespace");
    const name = textAt(body, "/repository/name");
    const joined = namespace === undefined || name === undefined ? name : `${namespace}/${name}`;
    return collected([
      pushOf("dockerhub", {
        registryHost: DOCKER_HUB,
        repository: (textAt(body, "/repository/repo_name", "/repository/repo_full_name") ?? joined)?.toLowerCase(),
        references: [textAt(body, "/push_data/tag"), textAt(body, "/push_data/digest")],
        mediaType: textAt(body, "/push_data/media_type"),
        pushedAt: valueAt(body, "/push_data/pushed_at"),
      }),
    ]);
  },
};

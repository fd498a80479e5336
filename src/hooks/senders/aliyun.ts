/**
 * Alibaba Cloud's container registry: Docker Hub's shape with a region and a digest. The host follows from the region for
 * its personal edition; an instance of the enterprise edition has a name of its own, which the hook's `registryHost` gives.
 */
import type { Sender } from "../contract.ts";
import { isObject, textAt, valueAt } from "../json.ts";
import { collected, invalid, pushOf } from "../pushes.ts";

export const aliyun: Sender = {
  name: "aliyun",
  recognises: (_headers, body) =>
    isObject(valueAt(body, "/push_data")) &&
    textAt(body, "/repository/region") !== undefined &&
    textAt(body, "/repository/repo_full_name") !== undefined,
  parse({ body }) {
    if (!isObject(valueAt(body, "/push_data"))) {
      return invalid('it has no object "push_data", which Alibaba Cloud sends');
    }
    const region = textAt(body, "/repository/region");
    const name = textAt(body, "/repository/name");
    const namespace = textAt(body, "/repository/namespace");
    return collected([
      pushOf("aliyun", {
        registryHost:
          region !== undefined && /^[a-z0-9-]+$/.test(region) ? `registry.${region}.aliyuncs.com` : undefined,
        repository:
          textAt(body, "/repository/repo_full_name", "/repository/repo_name") ??
          (namespace === undefined || name === undefined ? undefined : `${namespace}/${name}`),
        references: [textAt(body, "/push_data/tag"), textAt(body, "/push_data/digest")],
        pushedAt: valueAt(body, "/push_data/pushed_at"),
      }),
    ]);
  },
};

/** Removes a tag from a repository, and nothing but the tag. */
import { discard } from "./body.ts";
import { CopyError } from "./errors.ts";
import { answerError, nameOf, wireName, type HostClient } from "./host-client.ts";
import { isTag } from "./reference.ts";

/** @see Registry.deleteTag */
export async function deleteTag(
  client: HostClient,
  repository: string,
  tag: string,
): Promise<"deleted" | "gone" | "unsupported"> {
  const operation = "delete tag";
  if (!isTag(tag)) {
    throw answerError(client, operation, "invalid_request", "was asked to delete something that is no tag");
  }
  try {
    return await client.requester.perform(
      {
        operation,
        about: nameOf(repository, tag),
        kind: "manifest",
        bytes: 0,
        method: "DELETE",
        url: client.transport.url(repository, `manifests/${tag}`),
        scopes: [`repository:${wireName(client, repository)}:delete,pull`],
        accept: [200, 202, 204, 404],
        otherwise: "unsupported",
      },
      ({ response }) => {
        discard(response);
        return response.status === 404 ? "gone" : "deleted";
      },
    );
  } catch (thrown) {
    // Distribution-spec, "Deleting tags": 400 or 405 where tags cannot be deleted. Others call the tag an invalid digest.
    const isRefusal = thrown instanceof CopyError && [400, 405, 501].includes(thrown.detail.status ?? 0);
    if (isRefusal) {
      return "unsupported";
    }
    throw thrown;
  }
}

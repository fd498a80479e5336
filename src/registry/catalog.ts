/**
 * The list of a registry's repositories, page by page: `GET /v2/_catalog` (docker's registry API, "Catalog"). The
 * distribution-spec does not have it, and many registries refuse it: that is said in words that name what to do instead.
 */
import { readBounded } from "./body.ts";
import { CopyError, errorDetailOf, type ErrorDetail } from "./errors.ts";
import { answerError, type HostClient } from "./host-client.ts";
import { nextLink } from "./paging.ts";

const OPERATION = "list repositories";

/** What most registries give at most; some refuse to be asked for more. */
const PAGE_REPOSITORIES = 1000;

/** A thousand names of the greatest length have a quarter of this. */
const MAX_PAGE_BYTES = 1024 * 1024;

/** Answers of registries that have no such list, or none for us: 4xx, and those that say "not implemented". */
const isRefusal = (status: number | undefined): boolean =>
  status !== undefined && ((status >= 400 && status < 500 && status !== 408 && status !== 429) || status === 501);

/** A page of repositories, as references name them. `next`: the cursor of the page after it; null: this is the last. */
export interface CatalogPage {
  repositories: string[];
  next: string | null;
}

/**
 * One page.
 * @param cursor As the page before has named it; null: the first page.
 * @throws CopyError `unsupported` where the registry does not list its repositories for us.
 */
export async function listRepositories(client: HostClient, cursor: string | null): Promise<CatalogPage> {
  const url = firstPage(client);
  if (cursor !== null) {
    if (!cursor.startsWith("?")) {
      throw answerError(client, OPERATION, "invalid_request", "was asked for an unknown page");
    }
    url.search = cursor;
  }
  try {
    return await client.requester.perform(
      {
        operation: OPERATION,
        about: client.settings.host,
        kind: "query",
        bytes: 0,
        method: "GET",
        url,
        scopes: ["registry:catalog:*"],
        headers: { accept: "application/json" },
        accept: [200],
        otherwise: "unsupported",
      },
      async ({ response }) => {
        const body = await readBounded(response, MAX_PAGE_BYTES);
        const names = body.kind === "cut" ? null : namesIn(body.bytes);
        if (names === null) {
          throw answerError(client, OPERATION, "unsupported", "sent a list of repositories that cannot be read");
        }
        return { repositories: withoutPrefix(client, names), next: nextOf(client, response, url, names) };
      },
    );
  } catch (thrown) {
    const detail = errorDetailOf(thrown);
    throw isRefusal(detail.status) ? new CopyError(refused(detail)) : thrown;
  }
}

/** The list is the whole host's, whatever prefix its settings put before those that copies name. */
function firstPage({ transport }: HostClient): URL {
  return transport.resolve(`/v2/_catalog?n=${PAGE_REPOSITORIES}`, transport.url("any", ""), OPERATION);
}

function refused({ status, ...detail }: ErrorDetail): ErrorDetail {
  const { host } = detail;
  return {
    ...detail,
    code: "unsupported",
    retryable: false,
    ...(status === undefined ? {} : { status }),
    message:
      `${host} does not list its repositories for us: it answered ${status ?? "with a refusal"} to GET /v2/_catalog. ` +
      "Name the repositories one by one. A rule needs no list either where the registry's pushes start its copies (push).",
  };
}

/** `</v2/_catalog?last=x&n=1000>; rel="next"`: its query is the cursor, so that it leads nowhere but to this list. */
function nextOf(client: HostClient, response: Response, current: URL, names: readonly string[]): string | null {
  const link = nextLink(response.headers);
  if (link === null) {
    return null;
  }
  const next = client.transport.resolve(link, current, OPERATION);
  // A page that names itself as the next would never end.
  return names.length === 0 || next.search === "" || next.search === current.search ? null : next.search;
}

function withoutPrefix({ settings }: HostClient, names: readonly string[]): string[] {
  const prefix = settings.pathPrefix.replace(/^\/+|\/+$/g, "");
  return prefix === ""
    ? [...names]
    : names.flatMap((name) => (name.startsWith(`${prefix}/`) ? [name.slice(prefix.length + 1)] : []));
}

/** Null: not a list of repositories. */
function namesIn(bytes: Uint8Array): string[] | null {
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(bytes));
    if (typeof value !== "object" || value === null || !("repositories" in value)) {
      return null;
    }
    if (value.repositories === null) {
      return [];
    }
    return Array.isArray(value.repositories) ? value.repositories.filter((name) => typeof name === "string") : null;
  } catch {
    return null;
  }
}

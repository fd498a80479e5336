/**
 * What refers to a manifest: signatures, SBOMs, attestations (distribution-spec, "Listing Referrers"). By the referrers API
 * page by page, and where a registry has none, from the index under its fallback tag.
 */
import { fallbackTagOf } from "./fallback-tag.ts";
import { discard, readBounded } from "./body.ts";
import type { Referrer, ReferrerList } from "./contract.ts";
import { isDigest } from "./digest.ts";
import { CopyError } from "./errors.ts";
import { answerError, nameOf, readScopes, type HostClient } from "./host-client.ts";
import { getManifest, MAX_MANIFEST_BYTES } from "./manifests.ts";
import { bareMediaType, OCI_INDEX } from "./media-types.ts";
import { nextLink } from "./paging.ts";
import { wordsOf } from "./words.ts";

const OPERATION = "list referrers";

/** An index of 4 MiB has about this many entries: beyond it no fallback tag could hold them either. */
const MAX_REFERRERS = 10_000;

/** Registries may cut pages as they like, but not for ever. */
const MAX_PAGES = 1000;

/** Enough for the list of errors in a refusal. */
const MAX_REFUSAL_BYTES = 64 * 1024;

/**
 * How registries without the API answer it. The spec has 404; the others come from registries and proxies that check the
 * path first. What is denied here and not at the fallback tag was denied for the path.
 */
const WITHOUT_API: readonly number[] = [400, 403, 404, 405, 406, 501];

/** Repositories that were found to have no API, per client: the next question there begins with the tag. */
const withoutApi = new WeakMap<HostClient, Set<string>>();

/** @see Registry.listReferrers */
export async function listReferrers(
  client: HostClient,
  repository: string,
  digest: string,
  options: { artifactType?: string; listedTags?: ReadonlySet<string> } = {},
): Promise<ReferrerList | null> {
  if (!isDigest(digest)) {
    throw answerError(client, OPERATION, "invalid_request", "cannot be asked for the referrers of what is no digest");
  }
  const { artifactType, listedTags } = options;
  const known = withoutApi.get(client) ?? new Set();
  withoutApi.set(client, known);
  const answer = known.has(repository) ? "no API" : await askApi(client, repository, digest, artifactType);
  if (typeof answer === "object") {
    return { ...answer, referrers: ofType(answer.referrers, artifactType), from: "api" };
  }
  if (answer === "no API") {
    known.add(repository);
  }
  const tag = fallbackTagOf(digest);
  const isListed = listedTags === undefined || listedTags.has(tag);
  const found = isListed ? await readFallbackTag(client, repository, tag) : null;
  if (found === null && answer === "no repository") {
    return null;
  }
  const { referrers, warnings } = found ?? { referrers: [], warnings: [] };
  return { referrers: ofType(referrers, artifactType), from: "tag", warnings };
}

interface Entries {
  referrers: Referrer[];
  warnings: string[];
}

async function askApi(
  client: HostClient,
  repository: string,
  digest: string,
  artifactType: string | undefined,
): Promise<Entries | "no API" | "no repository"> {
  const all = new Map<string, Referrer>();
  const warnings = new Set<string>();
  let url = client.transport.url(repository, `referrers/${digest}`);
  if (artifactType !== undefined) {
    // Whether the registry has heeded it (OCI-Filters-Applied) changes nothing: the answer is filtered here in any case.
    url.searchParams.set("artifactType", artifactType);
  }
  const asked = new Set<string>();
  for (;;) {
    asked.add(url.href);
    const page = await readPage(client, repository, digest, url).catch(unlessUnauthorized);
    if (page === "no repository" || page === "no API") {
      if (asked.size === 1) {
        return page;
      }
      throw answerError(client, OPERATION, "unsupported", `does not have the next page of the referrers of ${digest}`);
    }
    for (const referrer of page.referrers) {
      all.set(referrer.digest, all.get(referrer.digest) ?? referrer);
    }
    page.warnings.forEach((each) => warnings.add(each));
    if (page.next === null) {
      return { referrers: [...all.values()], warnings: [...warnings] };
    }
    if (all.size > MAX_REFERRERS || asked.size >= MAX_PAGES || asked.has(page.next.href)) {
      const problem = asked.has(page.next.href)
        ? "leads in a circle from page to page of"
        : `has more than ${MAX_REFERRERS} entries or ${MAX_PAGES} pages of`;
      throw answerError(client, OPERATION, "unsupported", `${problem} the referrers of ${digest}`);
    }
    url = page.next;
  }
}

type Page = (Entries & { next: URL | null }) | "no API" | "no repository";

async function readPage(client: HostClient, repository: string, digest: string, url: URL): Promise<Page> {
  return client.requester.perform(
    {
      operation: OPERATION,
      about: nameOf(repository, digest),
      kind: "query",
      bytes: 0,
      method: "GET",
      url,
      scopes: readScopes(client, repository),
      headers: { accept: OCI_INDEX },
      accept: [200, ...WITHOUT_API],
      otherwise: "unsupported",
    },
    async ({ response, url: answered }): Promise<Page> => {
      if (response.status !== 200) {
        const { bytes } = await readBounded(response, MAX_REFUSAL_BYTES);
        const { code } = wordsOf(new TextDecoder().decode(bytes));
        return code === "NAME_UNKNOWN" ? "no repository" : "no API";
      }
      const type = bareMediaType(response.headers.get("content-type"));
      if (type !== "" && type !== OCI_INDEX) {
        // A page of a web application, most likely: it answers every path.
        discard(response);
        return "no API";
      }
      const body = await readBounded(response, MAX_MANIFEST_BYTES);
      if (body.kind === "cut") {
        const problem = `sent more than 4 MiB on one page of the referrers of ${digest}`;
        throw answerError(client, OPERATION, "manifest_too_large", problem);
      }
      const entries = entriesOf(body.bytes, type);
      return entries === null ? "no API" : { ...entries, next: nextOf(client, response, answered) };
    },
  );
}

/** A 401 too may be about the path. Whether the login is good at all is seen at the fallback tag. */
function unlessUnauthorized(thrown: unknown): "no API" {
  if (thrown instanceof CopyError && thrown.detail.code === "unauthorized") {
    return "no API";
  }
  throw thrown;
}

/** The whole address counts, since registries put what they like into it, but it stays at the registry's own host. */
function nextOf(client: HostClient, response: Response, current: URL): URL | null {
  const link = nextLink(response.headers);
  if (link === null) {
    return null;
  }
  const next = client.transport.resolve(link, current, OPERATION);
  if (client.transport.isOwn(next)) {
    return next;
  }
  throw answerError(client, OPERATION, "unsupported", `leads to ${next.host} for the next page of referrers`);
}

/** Null: there is no such tag. What is there and is no index is not about referrers: it is left alone, with a warning. */
async function readFallbackTag(client: HostClient, repository: string, tag: string): Promise<Entries | null> {
  const ignored = (why: string): Entries => ({
    referrers: [],
    warnings: [`${client.settings.host}/${repository}:${tag} ${why}; it was not taken for a list of referrers.`],
  });
  try {
    const { mediaType, bytes } = await getManifest(client, repository, tag);
    return entriesOf(bytes, mediaType) ?? ignored("is no OCI index");
  } catch (thrown) {
    const code = thrown instanceof CopyError ? thrown.detail.code : "internal";
    if (code === "not_found") {
      return null;
    }
    if (code === "manifest_invalid" || code === "manifest_too_large" || code === "unsupported") {
      return ignored("cannot be read");
    }
    throw thrown;
  }
}

/** Null: this is no OCI index. `type` is what its header said, "" for nothing. */
function entriesOf(bytes: Uint8Array, type: string): Entries | null {
  const index = parse(bytes);
  const own = index?.["mediaType"];
  const manifests = index?.["manifests"] ?? [];
  if (index === null || !Array.isArray(manifests) || (own ?? type) !== OCI_INDEX) {
    return null;
  }
  const referrers = new Map<string, Referrer>();
  const warnings: string[] = [];
  for (const entry of manifests) {
    const referrer = referrerOf(entry);
    if (referrer === null) {
      warnings.push("A list of referrers has an entry without a valid digest and size; it was left out.");
    } else if (!referrers.has(referrer.digest)) {
      referrers.set(referrer.digest, referrer);
    }
  }
  return { referrers: [...referrers.values()], warnings: [...new Set(warnings)] };
}

function referrerOf(entry: unknown): Referrer | null {
  if (!isObject(entry)) {
    return null;
  }
  const { mediaType, digest, size, artifactType, annotations } = entry;
  const isSize = typeof size === "number" && Number.isSafeInteger(size) && size >= 0;
  if (typeof digest !== "string" || !isDigest(digest) || !isSize) {
    return null;
  }
  const texts = isObject(annotations)
    ? Object.entries(annotations).filter((pair): pair is [string, string] => typeof pair[1] === "string")
    : [];
  return {
    mediaType: typeof mediaType === "string" ? mediaType : "",
    digest,
    size,
    ...(typeof artifactType === "string" && artifactType !== "" ? { artifactType } : {}),
    ...(texts.length === 0 ? {} : { annotations: Object.fromEntries(texts) }),
  };
}

function ofType(referrers: Referrer[], artifactType: string | undefined): Referrer[] {
  return artifactType === undefined ? referrers : referrers.filter((each) => each.artifactType === artifactType);
}

function parse(bytes: Uint8Array): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(bytes));
    return isObject(value) ? value : null;
  } catch {
    return null;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * What the texts in a payload are: host, repository, tag, digest, kind of media type, time. Senders put a digest where a
 * tag belongs, a scheme before a host, and a colon with nothing after it. Pure; never throws.
 */
import { describeDigestFault } from "../registry/digest.ts";

/** Texts that senders write for "no tag". */
const NO_TAG: ReadonlySet<string> = new Set(["<none>", "null", "undefined", "untagged"]);

/** Seconds since the epoch stay below this for three thousand years; milliseconds have passed it in 1973. */
const MAX_EPOCH_SECONDS = 100_000_000_000;

/** Media types of what a tag can point to (image-spec, "Media Types"; docker's own; ORAS's first artifact manifest). */
const MANIFEST_TYPE = /[./](?:manifest|index)(?:\.list)?\.v\d+\+(?:json|prettyjws)$/;

/** Layers and configs. */
const BLOB_TYPE =
  /^application\/octet-stream$|\.layer\.|\.rootfs\.|\.diff\.tar|\.config\.v\d+\+json$|\.image\.v1\+json$/;

export interface Named {
  registryHost?: string;
  repository?: string;
  tag?: string;
  digest?: string;
}

/** Sorts texts into the first tag and the first digest, whichever field they came from. */
export function tagAndDigest(...texts: readonly (string | undefined)[]): { tag?: string; digest?: string } {
  const found: { tag?: string; digest?: string } = {};
  for (const text of texts) {
    const bare = (text ?? "").replace(/^[@:]/, "");
    if (bare === "" || NO_TAG.has(bare.toLowerCase())) {
      continue;
    }
    if (bare.includes(":")) {
      found.digest ??= bare;
    } else {
      found.tag ??= bare;
    }
  }
  return found;
}

/** Whether the text is a digest in its proper form. */
export function isDigest(text: string): boolean {
  return describeDigestFault(text) === null;
}

/** Splits `[scheme://][host/]repository[:tag][@digest]`; a first part with a dot or colon, or `localhost`, is a host. */
export function splitName(text: string): Named {
  const [name = "", digest] = text.replace(/^[a-z][a-z0-9+.-]*:\/\//i, "").split("@", 2);
  const slash = name.indexOf("/");
  const first = name.slice(0, Math.max(slash, 0));
  const isHost = /[.:[\]]/.test(first) || first.toLowerCase() === "localhost";
  const rest = isHost ? name.slice(slash + 1) : name;
  const colon = rest.indexOf(":", rest.lastIndexOf("/") + 1);
  const repository = colon < 0 ? rest : rest.slice(0, colon);
  return {
    ...(isHost ? { registryHost: first } : {}),
    ...(repository === "" ? {} : { repository }),
    ...tagAndDigest(digest, colon < 0 ? undefined : rest.slice(colon + 1)),
  };
}

/** The host in `https://host/path`, `host:5000` or `host/path`; undefined: there is none. */
export function hostIn(text: string | undefined): string | undefined {
  const bare = (text ?? "").replace(/^[a-z][a-z0-9+.-]*:\/\//i, "").replace(/^[^/@]*@/, "");
  const host = bare.split(/[/?#]/, 1)[0] ?? "";
  return host === "" ? undefined : host;
}

/** What stands before the repository in a name that ends with it: hosts that have neither dot nor colon are found so. */
export function hostBefore(name: string | undefined, repository: string | undefined): string | undefined {
  if (name === undefined || repository === undefined) {
    return undefined;
  }
  const at = name.indexOf(`/${repository}`);
  return at > 0 ? hostIn(name.slice(0, at)) : undefined;
}

/** `unknown` may be anything: new artifact types come every year. */
export function kindOfMediaType(mediaType: string | undefined): "manifest" | "blob" | "unknown" {
  const bare = (mediaType ?? "").split(";", 1)[0]?.trim().toLowerCase() ?? "";
  if (MANIFEST_TYPE.test(bare)) {
    return "manifest";
  }
  return BLOB_TYPE.test(bare) ? "blob" : "unknown";
}

/** Milliseconds since the epoch of a time as senders write it; undefined where it has no zone or is none. */
export function timeMsOf(value: unknown): number | undefined {
  const epoch =
    typeof value === "number" ? value : typeof value === "string" && /^\d+$/.test(value) ? Number(value) : 0;
  if (epoch > 0) {
    return Math.round(epoch < MAX_EPOCH_SECONDS ? epoch * 1000 : epoch);
  }
  // A time without zone would be read as this machine's.
  if (typeof value !== "string" || !/[Zz]$|[+-]\d\d:?\d\d$/.test(value)) {
    return undefined;
  }
  const timeMs = Date.parse(value);
  return Number.isNaN(timeMs) ? undefined : timeMs;
}

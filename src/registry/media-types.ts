/**
 * Media types of manifests and layers that decide how something is copied. Anything not named here is copied untouched:
 * a client must not refuse unknown types (image-spec, "Media Types").
 */

export const OCI_INDEX = "application/vnd.oci.image.index.v1+json";
export const OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json";
export const DOCKER_MANIFEST_LIST = "application/vnd.docker.distribution.manifest.list.v2+json";
export const DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json";
export const DOCKER_SCHEMA1 = "application/vnd.docker.distribution.manifest.v1+json";
export const DOCKER_SCHEMA1_SIGNED = "application/vnd.docker.distribution.manifest.v1+prettyjws";

/**
 * What is asked for when a manifest is read. No wildcard: old registries take one as leave to convert to schema 1.
 */
export const ACCEPTED_MANIFESTS: readonly string[] = [OCI_INDEX, OCI_MANIFEST, DOCKER_MANIFEST_LIST, DOCKER_MANIFEST];

/** Types that say nothing about a manifest; what it calls itself counts then. */
const GENERIC: ReadonlySet<string> = new Set(["", "application/json", "application/octet-stream", "text/plain"]);

export function isIndex(mediaType: string): boolean {
  return mediaType === OCI_INDEX || mediaType === DOCKER_MANIFEST_LIST;
}

/** An image manifest (also of any other artifact), not an index. */
export function isManifest(mediaType: string): boolean {
  return mediaType === OCI_MANIFEST || mediaType === DOCKER_MANIFEST;
}

export function isSchema1(mediaType: string): boolean {
  return mediaType === DOCKER_SCHEMA1 || mediaType === DOCKER_SCHEMA1_SIGNED;
}

/** Layers that their makers do not want redistributed; their bytes are often not in the registry at all. */
export function isForeign(mediaType: string): boolean {
  return (
    mediaType.startsWith("application/vnd.docker.image.rootfs.foreign.") ||
    mediaType.startsWith("application/vnd.oci.image.layer.nondistributable.")
  );
}

/** A `Content-Type` without parameters, lower case; "" when it says nothing. */
export function bareMediaType(contentType: string | null): string {
  const bare = (contentType ?? "").split(";", 1)[0]?.trim().toLowerCase() ?? "";
  return GENERIC.has(bare) ? "" : bare;
}

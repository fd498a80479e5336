/** Manifests for a registry in memory, whose blobs go by short names: nobody there asks for their bytes. */

export const MANIFEST = "application/vnd.oci.image.manifest.v1+json";
export const INDEX = "application/vnd.oci.image.index.v1+json";

/** Descriptor of a blob of ten bytes; its digest ends in its name, which is hexadecimal. */
export function blob(name: string) {
  return { mediaType: "application/x", digest: `sha256:${name.padStart(64, "0")}`, size: 10 };
}

/** Body of the manifest of a config and its layers. */
export function image(...blobs: string[]) {
  const [config = "0", ...layers] = blobs;
  return { schemaVersion: 2, mediaType: MANIFEST, config: blob(config), layers: layers.map(blob) };
}

/** Puts a sample into the test registry's memory, past its manners: what it hands out is under test, not how it got it. */
import type { TestRegistry } from "../registry-server/server.ts";
import type { Sample } from "../support/sample-image.ts";

export function seed({ storage }: TestRegistry, repository: string, sample: Sample): void {
  for (const [digest, bytes] of sample.blobs) {
    storage.addBlob(repository, digest, { sizeBytes: bytes.length, pieces: [bytes] });
  }
  const { manifests, tags } = storage.repository(repository);
  for (const { digest, mediaType, bytes } of sample.manifests) {
    manifests.set(digest, { bytes, mediaType });
  }
  tags.set(sample.tag, sample.digest);
}

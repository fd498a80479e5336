/** Copies as the API shows them, for tests of what the command makes of them. */
import type { CopyView } from "../../src/job/contract.ts";

export const DIGEST = `sha256:${"0123456789abcdef".repeat(4)}`;

export function view(changes: Partial<CopyView> = {}): CopyView {
  return {
    id: "cp_1",
    state: "running",
    dryRun: false,
    asked: null,
    group: null,
    source: { reference: "docker.io/library/alpine:3", digest: null },
    target: { reference: "r.example/alpine:3", digest: null },
    tags: { all: 1, copied: 0, unchanged: 0, skipped: 0, failed: 0, obsolete: 0, deleted: 0 },
    blobs: { all: 0, copied: 0, mounted: 0, present: 0 },
    bytes: { all: 0, copied: 0, mounted: 0, present: 0 },
    manifests: { all: 0, copied: 0, present: 0 },
    requests: { source: 0, target: 0 },
    times: { acceptedAt: "2026-01-01T00:00:00.000Z", firstByteAt: null, doneAt: null },
    warnings: [],
    error: null,
    ...changes,
  };
}

export const SUCCEEDED = view({
  state: "succeeded",
  source: { reference: "docker.io/library/alpine:3", digest: DIGEST },
  target: { reference: "r.example/alpine:3", digest: DIGEST },
  blobs: { all: 5, copied: 2, mounted: 1, present: 2 },
  bytes: { all: 5_000_000, copied: 3_200_000, mounted: 800_000, present: 1_000_000 },
  manifests: { all: 1, copied: 1, present: 0 },
  times: { acceptedAt: "2026-01-01T00:00:00.000Z", firstByteAt: null, doneAt: "2026-01-01T00:01:15.000Z" },
});

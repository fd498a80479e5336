/** The client of one registry host, put together: what each operation does stands in the file of its noun. */
import { headBlob, openBlob } from "./blobs.ts";
import type { ConnectionBudget } from "./connection-budget.ts";
import type { HostSettings, Registry } from "./contract.ts";
import type { Gate } from "./gate.ts";
import { deleteTag } from "./deletion.ts";
import type { HostClient } from "./host-client.ts";
import { getManifest, headManifest, putManifest } from "./manifests.ts";
import type { Refusal } from "./reach.ts";
import { listReferrers } from "./referrers.ts";
import { Requester } from "./requester.ts";
import { readSmallBlob } from "./small-blob.ts";
import { listTags } from "./tags.ts";
import { createTransport } from "./transport.ts";
import { cancelUpload, patchBlob, putBlob, startUpload, uploadOffset } from "./uploads.ts";
import type { Fetch, Log } from "./wire.ts";

export interface RegistryOptions {
  settings: HostSettings;
  /** Named in every error. */
  side: "source" | "target";
  gate: Gate;
  fetch: Fetch;
  /** Milliseconds since the epoch. */
  now: () => number;
  log: Log;
  /** Shared by all clients of one invocation. */
  budget: ConnectionBudget;
  /** Ends everything this client does; single operations may have a signal of their own besides. */
  signal?: AbortSignal;
  /** What must not be called, besides where the registry must not lead (reach.ts). */
  refusalOf: Refusal;
  /**
   * How often one request is tried, 6 by default. 1 for a client whose gate does not hold back who comes again after a
   * failure: its caller then decides about the next try.
   */
  maxAttempts?: number;
}

/** What the operations work with: for those that are none of {@link Registry}'s. */
export function createHostClient(options: RegistryOptions): HostClient {
  const { settings, side, gate, now, signal, maxAttempts } = options;
  const { host } = settings;
  const transport = createTransport({ ...options, host });
  const requester = new Requester({
    transport,
    gate,
    side,
    host,
    now,
    ...(signal === undefined ? {} : { signal }),
    ...(maxAttempts === undefined ? {} : { maxAttempts }),
  });
  return { settings, side, transport, requester };
}

/**
 * A client of the host in `settings`. In workerd a body handed to `putBlob` or `patchBlob` must know its length (that of
 * a fetch, or a FixedLengthStream's), or the runtime sends it in chunks, which many registries refuse.
 */
export function createRegistry(options: RegistryOptions): Registry {
  const client = createHostClient(options);
  return {
    host: options.settings.host,
    usage: client.transport.usage,
    headManifest: (repository, reference) => headManifest(client, repository, reference),
    getManifest: (repository, reference) => getManifest(client, repository, reference),
    putManifest: (repository, reference, manifest) => putManifest(client, repository, reference, manifest),
    listTags: (repository, page) => listTags(client, repository, page),
    deleteTag: (repository, tag) => deleteTag(client, repository, tag),
    listReferrers: (repository, digest, how) => listReferrers(client, repository, digest, how),
    headBlob: (repository, digest) => headBlob(client, repository, digest),
    openBlob: (repository, digest, how) => openBlob(client, repository, digest, how),
    readSmallBlob: (repository, digest) => readSmallBlob(client, repository, digest),
    startUpload: (repository, how) => startUpload(client, repository, how),
    putBlob: (upload, how) => putBlob(client, upload, how),
    patchBlob: (upload, how) => patchBlob(client, upload, how),
    uploadOffset: (upload, ended) => uploadOffset(client, upload, ended),
    cancelUpload: (upload) => cancelUpload(client, upload),
  };
}

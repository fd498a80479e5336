/** Locations of uploads lie in a host's rows no longer than they are of use. */
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import type { BlobOffer } from "../../src/host/contract.ts";
import { HostStore } from "../../src/host/store.ts";

const DAY_MS = 24 * 3_600_000;
const NOW_MS = 1_800_000_000_000;

function offer(id: string): BlobOffer {
  const source = { sourceHost: "source.example", sourceRepository: "app" };
  return { id, digest: id, sizeBytes: 1, targetRepository: "app", ...source, mayExist: false, since: NOW_MS };
}

/** Ids of the offers whose upload is kept after `change`, which finds three of them: one an hour old, one a day, one without an offer. */
async function keptAfter(change: (store: HostStore) => void): Promise<unknown[]> {
  const host = env.REGISTRIES.getByName(`handovers-${crypto.randomUUID()}.example`);
  return runInDurableObject(host, (_, { storage }) => {
    const store = new HostStore(storage);
    const handover = {
      v: 1,
      location: "https://t.example/u?state=x",
      minChunkBytes: 0,
      maxChunkBytes: 0,
      offsetBytes: 0,
    } as const;
    store.putOffers("job", [offer("young"), offer("old")]);
    store.putHandover("young", { handover, atMs: NOW_MS - DAY_MS / 24 });
    store.putHandover("old", { handover, atMs: NOW_MS - DAY_MS - 1 });
    store.putHandover("orphan", { handover, atMs: NOW_MS });
    change(store);
    return storage.sql
      .exec("SELECT offer FROM handovers ORDER BY offer")
      .toArray()
      .map((row) => row["offer"]);
  });
}

test("a day old they are deleted, and without their offer", async () => {
  expect(await keptAfter((store) => store.trimHandovers(NOW_MS))).toEqual(["young"]);
});

test("they go with their offer, and when the upload is over", async () => {
  expect(await keptAfter((store) => store.deleteOffers(["young"]))).toEqual(["old", "orphan"]);
  expect(await keptAfter((store) => store.putHandover("old", null))).toEqual(["orphan", "young"]);
  const later = (store: HostStore): void => {
    store.deleteOffersLater(["young", "old"]);
    store.writeLater();
  };
  expect(await keptAfter(later)).toEqual(["orphan"]);
});

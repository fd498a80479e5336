/** What is booked of a RegistryHost's word on a copy's blobs, in the real ledger inside a real object. */
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import type { Settlement } from "../../src/host/contract.ts";
import { EventLog } from "../../src/job/events.ts";
import { type CopyRecord, Ledger } from "../../src/job/ledger.ts";
import { offerId } from "../../src/job/offers.ts";
import { bookSettlements } from "../../src/job/settlements.ts";
import type { ErrorCode } from "../../src/registry/errors.ts";
import { blob } from "./images.ts";

const REQUEST = {
  source: { host: "src.example", repository: "app", tag: "v1" },
  target: { host: "dst.example", repository: "mirror", tag: "v1" },
};
const MIRRORS = 2;
const { digest, size: sizeBytes, mediaType } = blob("a");
const NOTHING = { arrived: [], failed: [], moved: [], hasLeftMirror: false };

interface World {
  ledger: Ledger;
  book: (...settlements: Settlement[]) => ReturnType<typeof bookSettlements>;
}

/** A copy that reads from two mirrors and the source, and waits for one blob. */
function withCopy(work: (world: World) => void): Promise<void> {
  return runInDurableObject(env.JOBS.getByName(crypto.randomUUID()), (_job, { storage }) => {
    const ledger = new Ledger(storage.sql);
    ledger.create("j1", REQUEST, 1_000);
    ledger.run();
    ledger.blobs.add([{ digest, sizeBytes, mediaType }], "waiting", 1_000);
    const events = new EventLog(storage.sql, () => 1_000, false);
    const record: CopyRecord = ledger.record() ?? expect.unreachable();
    work({ ledger, book: (...settlements) => bookSettlements(ledger, events, record, settlements, MIRRORS) });
  });
}

function copied(place: number): Settlement {
  const requests = { source: 1, target: 2 };
  return { id: offerId("j1", REQUEST, digest, place), digest, outcome: "copied", bytes: 10, requests, warnings: [] };
}

function failed(place: number, code: ErrorCode): Settlement {
  const detail = { code, side: "source" as const, host: "mirror.example", operation: "read blob", retryable: false };
  return { ...copied(place), outcome: "failed", bytes: 0, error: { ...detail, message: "not here" } };
}

test("a blob that comes from a mirror which the copy has left meanwhile has arrived, once", () =>
  withCopy(({ ledger, book }) => {
    ledger.blobs.leavePlace(0);
    expect(book(copied(0))).toEqual({ ...NOTHING, arrived: [digest] });
    expect(ledger.blobs.get(digest)?.state).toBe("copied");
    // The offer from the next place stood as well, and finds it there.
    expect(book({ ...copied(1), outcome: "present" }, copied(0))).toEqual(NOTHING);
    expect(ledger.sums()).toMatchObject({ blobs: { copied: 1 }, blobRequests: { source: 1, target: 2 } });
  }));

test("a failure of a mirror that the blob has left says nothing of the place where it is to be read now", () =>
  withCopy(({ ledger, book }) => {
    expect(book(failed(0, "not_found"))).toEqual({ ...NOTHING, moved: [digest] });
    expect(book(failed(0, "not_found"), failed(0, "connection"))).toEqual(NOTHING);
    expect(ledger.blobs.placeOf(digest)).toBe(1);
  }));

test("offers of other copies, and from places where it was never offered, are none of its", () =>
  withCopy(({ ledger, book }) => {
    ledger.blobs.leavePlace(0);
    expect(book({ ...copied(0), id: offerId("j2", REQUEST, digest) }, copied(2))).toEqual(NOTHING);
    expect(ledger.blobs.get(digest)?.state).toBe("waiting");
  }));

/** Finds the copy or group of copies that a call is about, by whatever still knows of it, for those who may see it. */
import { copyIdTimeMs, isCopyId, isGroupId } from "../copy/copy-id.ts";
import { type CopyView, KEPT_MS } from "../job/contract.ts";
import type { GroupView } from "../job/group/contract.ts";
import { groupView } from "../job/group/view.ts";
import { INDEX_NAME } from "../ledger/contract.ts";
import type { AdmittedCall } from "./operation.ts";
import { Problem } from "./problem.ts";

/** A copy lives for a day at most, and its object for some days more: of an older one only the record is left. */
const GONE_AFTER_MS = KEPT_MS + 2 * 24 * 60 * 60 * 1000;

/** What the objects of a copy and of a group have in common. */
export interface Followed {
  view(waitMs: number): Promise<CopyView | GroupView | null>;
  cancel(): Promise<CopyView | GroupView | null>;
  events(lastSeq: number): Promise<ReadableStream<Uint8Array> | null>;
}

/** @throws Problem 404 for what is none of the principal's business, as for what does not exist. */
export async function followedOf(call: AdmittedCall): Promise<Followed> {
  const { env } = call;
  const id = idOf(call);
  if (!isGroupId(id)) {
    return jobOf(call);
  }
  await checkVisible(call);
  // Asked anew each time: a stub that threw once is broken.
  const group = () => env.GROUPS.getByName(id);
  return {
    view: async (waitMs) => group().view(waitMs),
    cancel: async () => group().cancel(),
    events: async (lastSeq) => group().events(lastSeq),
  };
}

/** @throws Problem 404 likewise, and for a group. */
export async function jobOf(call: AdmittedCall) {
  const id = idOf(call);
  if (isGroupId(id)) {
    await checkVisible(call);
    throw new Problem(
      "not-found",
      "These are copies to several targets; ask for each by its own id, among their copies.",
    );
  }
  if (!isCopyId(id)) {
    throw noSuchCopy();
  }
  await checkVisible(call);
  return call.env.JOBS.getByName(id);
}

/** What the call is about by what its object says, or by its record once that is gone. */
export async function viewOf(
  call: AdmittedCall,
  ask: (followed: Pick<Followed, "view" | "cancel">) => Promise<CopyView | GroupView | null>,
): Promise<CopyView | GroupView> {
  const followed = await followedOf(call);
  return found((isGone(call) ? null : await ask(followed)) ?? (await recordOf(call)));
}

/** Whether no more than the record can be left: an object that is gone would come back, empty, for being asked. */
export function isGone(call: AdmittedCall): boolean {
  return copyIdTimeMs(idOf(call)) < Date.now() - GONE_AFTER_MS;
}

/** As it ended; null: there is no record. */
export async function recordOf(call: AdmittedCall): Promise<CopyView | GroupView | null> {
  const index = call.env.INDEX.getByName(INDEX_NAME);
  const id = idOf(call);
  if (!isGroupId(id)) {
    return (await index.find(id))?.record ?? null;
  }
  const entries = await index.findGroup(id);
  const [first, ...others] = entries.flatMap(({ record }) => (record === null ? [] : [record]));
  if (first === undefined) {
    return null;
  }
  const acceptedMs = Math.min(...entries.map(({ acceptedAtMs }) => acceptedAtMs));
  const doneMs = Math.max(...entries.map(({ doneAtMs }) => doneAtMs ?? Infinity));
  return groupView({ id, sourceRequests: 0, acceptedMs, doneMs: doneMs === Infinity ? null : doneMs, warnings: [] }, [
    first,
    ...others,
  ]);
}

export function found<T>(answer: T | null): T {
  if (answer === null) {
    throw noSuchCopy();
  }
  return answer;
}

export function copyAnswer(copy: CopyView | GroupView, status: 200 | 202): Response {
  return Response.json(copy, { status, headers: { location: `/v1/copies/${copy.id}` } });
}

/** @throws Problem 404 when somebody else's copies are asked for. */
async function checkVisible(call: AdmittedCall): Promise<void> {
  const { env, principal } = call;
  if (principal.kind === "root") {
    return;
  }
  const viewer = { id: principal.id, scopes: principal.scopes };
  const index = env.INDEX.getByName(INDEX_NAME);
  const id = idOf(call);
  const isVisible = isGroupId(id)
    ? (await index.findGroup(id, viewer)).length > 0
    : (await index.find(id, viewer)) !== null;
  if (!isVisible) {
    throw noSuchCopy();
  }
}

function idOf({ path }: AdmittedCall): string {
  return path["id"] ?? "";
}

function noSuchCopy(): Problem {
  return new Problem("not-found", "There is no copy with this id; GET /v1/copies lists them.");
}

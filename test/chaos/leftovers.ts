/**
 * Upload sessions that are still open when all has ended: whether anybody could have closed them. A session whose address
 * nobody has any more is the registry's to purge: its opening was never answered, or whoever had the answer was killed
 * before it could write it down.
 */
import type { RecordedRequest } from "../registry-server/recorder.ts";
import type { OpenUpload } from "../registry-server/uploads.ts";

/** A lane tells its host once a second how far it is; until it has told, only the lane itself knows of the session. */
const WRITTEN_DOWN_MS = 3_500;

/** Deaths so near to an opening may have to do with it. */
const NEAR_MS = 10_000;

/** Something was killed or thrown out of memory, at so many milliseconds on the clock of `performance.now()`. */
export interface Death {
  atMs: number;
  /** What it was, for a person. */
  what: string;
}

/** Null: it could have been closed. Else why nobody could. */
export function excuseOf(
  upload: OpenUpload,
  requests: readonly RecordedRequest[],
  deaths: readonly Death[],
): "its opening was not answered" | "its registry refused to delete it" | "its lane was killed" | null {
  const { id, openedMs } = upload;
  const uses = requests.filter(({ path }) => path.includes(id));
  const isUnanswered = openingsOf(upload, requests).some(({ status, fault }) => status === 0 || fault === "late-error");
  if (uses.length === 0 && isUnanswered) {
    return "its opening was not answered";
  }
  const last = uses.at(-1);
  if (last?.method === "DELETE" && (last.status === 0 || last.status >= 400)) {
    return "its registry refused to delete it";
  }
  const lastUseMs = Math.max(openedMs, ...uses.map(({ t }) => t));
  const killed = deaths.some(({ atMs }) => lastUseMs <= atMs && atMs - openedMs <= WRITTEN_DOWN_MS);
  return killed ? "its lane was killed" : null;
}

/** What is known of such a session, for a person: how it was opened, used, and what died after that. */
export function storyOf(upload: OpenUpload, requests: readonly RecordedRequest[], deaths: readonly Death[]): string {
  const { id, repository, offsetBytes, openedMs } = upload;
  const told = [...openingsOf(upload, requests), ...requests.filter(({ path }) => path.includes(id))].map(
    ({ method, status, t, fault }) => `${method} ${status}${fault === undefined ? "" : ` (${fault})`} ${afterMs(t)}`,
  );
  const near = deaths.filter(({ atMs }) => Math.abs(atMs - openedMs) < NEAR_MS);
  const died = near.map(({ atMs, what }) => `${what} ${afterMs(atMs)}`);
  return `${repository} ${id} at ${offsetBytes} bytes: ${[...told, ...died].join(", ")}`;

  function afterMs(t: number): string {
    return `at ${Math.round(t - openedMs)} ms`;
  }
}

/** The requests that may have opened it: those to its repository that were under way when it was opened. */
function openingsOf({ repository, openedMs }: OpenUpload, requests: readonly RecordedRequest[]): RecordedRequest[] {
  return requests.filter(
    ({ method, path, t, tookMs }) =>
      method === "POST" && path.endsWith(`/${repository}/blobs/uploads/`) && t <= openedMs && openedMs <= t + tookMs,
  );
}

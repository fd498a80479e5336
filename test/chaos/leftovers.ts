/**
 * Upload sessions that are still open when all has ended: whether anybody could have closed them. A session whose address
 * nobody has any more is the registry's to purge: its opening was never answered, or whoever had the answer was killed
 * before it could write it down.
 */
import type { RecordedRequest } from "../registry-server/recorder.ts";
import type { OpenUpload } from "../registry-server/uploads.ts";

/** A lane tells its host once a second how far it is; until it has told, only the lane itself knows of the session. */
const WRITTEN_DOWN_MS = 2_500;

/** Something was killed or thrown out of memory, at so many milliseconds on the clock of `performance.now()`. */
export interface Death {
  atMs: number;
}

/** Null: it could have been closed. Else why nobody could. */
export function excuseOf(
  upload: OpenUpload,
  requests: readonly RecordedRequest[],
  deaths: readonly Death[],
): "its opening was not answered" | "its lane was killed" | null {
  const { id, repository, openedMs } = upload;
  const uses = requests.filter(({ path }) => path.includes(id));
  const opening = requests.find(
    ({ method, path, t, tookMs }) =>
      method === "POST" && path.includes(`/${repository}/blobs/uploads/`) && t <= openedMs && openedMs <= t + tookMs,
  );
  if (uses.length === 0 && opening?.fault !== undefined) {
    return "its opening was not answered";
  }
  const lastUseMs = Math.max(openedMs, ...uses.map(({ t }) => t));
  const killed = deaths.some(({ atMs }) => lastUseMs <= atMs && atMs - openedMs <= WRITTEN_DOWN_MS);
  return killed ? "its lane was killed" : null;
}

/** Which upload sessions a chaos run lays at the service's door. */
import { expect, it } from "vitest";
import type { RecordedRequest } from "../registry-server/recorder.ts";
import { excuseOf } from "./leftovers.ts";

const UPLOAD = { id: "the-session", repository: "mirror/app", offsetBytes: 100, openedMs: 1_000 };

function request(method: string, t: number, more: Partial<RecordedRequest> = {}): RecordedRequest {
  const path = method === "POST" ? "/v2/mirror/app/blobs/uploads/" : "/v2/mirror/app/blobs/uploads/the-session";
  const rest = { listener: "registry", query: {}, headers: {}, bytesIn: 0, bytesOut: 0, clientPort: 1 } as const;
  return { t, tookMs: 10, method, path, status: 202, concurrent: 1, ...rest, ...more };
}

const OPENED = request("POST", 995);
const UNANSWERED = request("POST", 995, { fault: "late-error" });
const CUT = request("POST", 995, { status: 0 });
const DELAYED = request("POST", 995, { fault: "delay" });

it.each<{ what: string; requests: RecordedRequest[]; deaths: number[]; excuse: string | null }>([
  { what: "one that was opened and left", requests: [OPENED], deaths: [], excuse: null },
  { what: "one left long before anything died", requests: [OPENED], deaths: [60_000], excuse: null },
  {
    what: "one whose lane had a minute to tell of it",
    requests: [OPENED, request("PUT", 1_100)],
    deaths: [61_000],
    excuse: null,
  },
  {
    what: "one that was used after the death",
    requests: [OPENED, request("PUT", 1_300)],
    deaths: [1_200],
    excuse: null,
  },
  {
    what: "one that died young",
    requests: [OPENED, request("PUT", 1_100)],
    deaths: [1_200],
    excuse: "its lane was killed",
  },
  {
    what: "one that the registry would not delete",
    requests: [OPENED, request("PUT", 1_100), request("DELETE", 1_300, { status: 429 })],
    deaths: [],
    excuse: "its registry refused to delete it",
  },
  { what: "one nobody heard of", requests: [UNANSWERED], deaths: [], excuse: "its opening was not answered" },
  { what: "one whose answer found nobody", requests: [CUT], deaths: [], excuse: "its opening was not answered" },
  { what: "one whose answer came late", requests: [DELAYED], deaths: [], excuse: null },
  { what: "one that was used all the same", requests: [UNANSWERED, request("PUT", 1_100)], deaths: [], excuse: null },
])("$what: $excuse", ({ requests, deaths, excuse }) => {
  expect(
    excuseOf(
      UPLOAD,
      requests,
      deaths.map((atMs) => ({ atMs, what: "kill lane" })),
    ),
  ).toBe(excuse);
});

/** Every kind of failure at every request that a copy makes, at both ends. */
import type { FaultAction, FaultRule, RegistryOptions } from "../registry-server/server.ts";
import type { Trial } from "./trial.ts";
import { BLOB, BY_TAG, CHUNKED, LOGIN, MANIFEST, PATCHED, TOKEN, UPLOAD } from "./trial-parts.ts";

/** Where a copy can be hit. `manners`: what a target must be like for that request to be made at all. */
interface Spot {
  where: string;
  side: "source" | "target";
  match: NonNullable<FaultRule["match"]>;
  manners?: RegistryOptions;
  shape?: Pick<Trial, "oneHost" | "all">;
}

const SPOTS: readonly Spot[] = [
  { where: "a manifest's HEAD", side: "source", match: { method: "HEAD", path: MANIFEST } },
  { where: "a manifest's GET", side: "source", match: { method: "GET", path: MANIFEST } },
  { where: "a blob's GET", side: "source", match: { method: "GET", path: BLOB } },
  { where: "the token's GET", side: "source", match: { path: TOKEN }, manners: LOGIN },
  { where: "the list of tags", side: "source", match: { path: /tags\/list/ }, shape: { all: true } },
  { where: "a manifest's HEAD", side: "target", match: { method: "HEAD", path: MANIFEST } },
  { where: "an upload's POST", side: "target", match: { method: "POST", path: UPLOAD } },
  { where: "a blob's PUT", side: "target", match: { method: "PUT", path: UPLOAD } },
  { where: "a blob's PATCH", side: "target", match: { method: "PATCH", path: UPLOAD }, manners: PATCHED },
  { where: "a chunk's PATCH", side: "target", match: { method: "PATCH", path: UPLOAD }, manners: CHUNKED },
  { where: "a mount's POST", side: "target", match: { method: "POST", path: /mount=/ }, shape: { oneHost: true } },
  { where: "a manifest's PUT", side: "target", match: { method: "PUT", path: /\/manifests\/sha256/ } },
  { where: "the tag's PUT", side: "target", match: { method: "PUT", path: BY_TAG } },
  { where: "the token's GET", side: "target", match: { path: TOKEN }, manners: LOGIN },
];

function at(spot: Spot, what: string, action: FaultAction, times = 1): Trial {
  const { where, side, match, manners = {}, shape = {} } = spot;
  const options: RegistryOptions = { ...manners, rules: [{ match, times, action }] };
  const end = shape.oneHost ? { source: options } : { [side]: options };
  return { what: `${side}: ${where} ${what}`, ...end, ...shape };
}

/** Of an upload whose opening was not heard of nobody knows. */
function unknownUploadsOf({ match }: Spot): Pick<Trial, "unknownUploads"> {
  return match.method === "POST" && match.path === UPLOAD ? { unknownUploads: 1 } : {};
}

/** Statuses that pass, in every way of saying when. */
const WHEN: readonly [string, Record<string, string>][] = [
  ["", {}],
  [" and Retry-After 1", { "retry-after": "1" }],
  [" and a nonsensical Retry-After", { "retry-after": "soon, perhaps" }],
];
const PASSING = [408, 425, 429, 500, 502, 503, 504, 520];

/** One registry that answers with this once to everything there is. */
export const EVERYWHERE: Trial[] = PASSING.flatMap((status) =>
  WHEN.map(([said, headers]): Trial => {
    const rules = (side: Spot["side"]): FaultRule[] =>
      SPOTS.filter((spot) => spot.side === side).map(({ match }) => ({
        match,
        times: 1,
        action: { type: "status", status, headers },
      }));
    return {
      what: `both: everything is answered once with ${status}${said}`,
      source: { ...LOGIN, rules: rules("source") },
      target: { ...LOGIN, rules: rules("target") },
    };
  }),
);

export const AT_EACH: Trial[] = SPOTS.flatMap((spot) => [
  at(spot, "is reset before an answer, twice", { type: "reset", afterBytes: 0 }, 2),
  at(spot, "is answered with 503 three times", { type: "status", status: 503 }, 3),
  // A token endpoint has half a minute to answer.
  ...(spot.match.path === TOKEN ? [] : [at(spot, "is never answered, once", { type: "hang" })]),
  at(spot, "is answered with a page for browsers and 502", {
    type: "status",
    status: 502,
    body: "<html>Bad gateway</html>",
    headers: { "content-type": "text/html" },
  }),
  ...(spot.side === "target" && spot.where !== "a manifest's HEAD"
    ? [
        { ...at(spot, "is done, and its answer lost", { type: "late-reset" }), ...unknownUploadsOf(spot) },
        {
          ...at(spot, "is done, and answered with 504", { type: "late-error", status: 504 }),
          ...unknownUploadsOf(spot),
        },
      ]
    : []),
]);

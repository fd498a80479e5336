/** What a source, or the store behind it, makes of what is read from it. All of it can be come through. */
import type { Trial } from "./trial.ts";
import { BLOB, EACH_ONCE, GET_BLOB, LOGIN, MANIFEST, MIB, ONCE, RANGED, rule } from "./trial-parts.ts";

/** Before any rule of ranges has struck, each large layer is cut. */
const CUT = rule(GET_BLOB, { type: "reset", afterBytes: MIB }, EACH_ONCE);

export const READING: Trial[] = [
  ...[0, 1, 500_000, 3 * MIB].map((atByte) => ({
    what: `source: byte ${atByte} of a blob is wrong once`,
    source: { rules: [rule(GET_BLOB, { type: "corrupt", atByte }, EACH_ONCE)] },
  })),
  {
    what: "source: blobs end early without a length, in good order",
    source: { rules: [rule(GET_BLOB, { type: "truncate", afterBytes: 700_000 }, EACH_ONCE)] },
  },
  {
    what: "source: a cut blob's range is ignored",
    source: { rules: [rule(RANGED, { type: "no-ranges" }), CUT] },
  },
  {
    what: "source: a cut blob's range is answered with another, and says so",
    source: { rules: [rule(RANGED, { type: "shift-range", byBytes: 1000, told: true }), CUT] },
  },
  {
    what: "source: a cut blob's range is answered with another, in secret",
    source: { rules: [rule(RANGED, { type: "shift-range", byBytes: 1000, told: false }), CUT] },
  },
  {
    what: "source: a cut blob's range has a wrong byte",
    source: { rules: [rule(RANGED, { type: "corrupt", atByte: 10 }, ONCE), CUT] },
  },
  {
    what: "source: a cut blob's range has no Content-Range",
    source: { rules: [rule(RANGED, { type: "headers", drop: ["content-range"] }), CUT] },
  },
  {
    what: "source: a cut blob's range has a Content-Range without sense",
    source: { rules: [rule(RANGED, { type: "headers", set: { "content-range": "bytes much/more" } }), CUT] },
  },
  ...[400, 403, 404, 416, 501].map((status) => ({
    what: `source: a cut blob's range is answered with ${status}`,
    source: { rules: [rule(RANGED, { type: "status" as const, status }), CUT] },
  })),
  {
    what: "source: a cut blob's range is answered with 401 once",
    source: { ...LOGIN, rules: [rule(RANGED, { type: "status", status: 401 }, ONCE), CUT] },
  },
  ...["docker-content-digest", "content-length", "content-type"].map((name) => ({
    what: `source: nothing has a ${name}`,
    source: { rules: [rule({ path: /^\/v2\// }, { type: "headers", drop: [name] })] },
  })),
  {
    what: "source: HEADs say nothing of their length",
    source: { rules: [rule({ method: "HEAD" }, { type: "chunked" })] },
  },
  ...[400, 403, 405, 501].map((status) => ({
    what: `source: HEADs are answered with ${status}`,
    source: { rules: [rule({ method: "HEAD" }, { type: "status" as const, status, body: "" })] },
  })),
  {
    what: "source: a blob has a wrong Docker-Content-Digest",
    source: { rules: [rule(GET_BLOB, { type: "wrong-digest" })] },
  },
  {
    what: "source: a manifest has a wrong Docker-Content-Digest once",
    source: { rules: [rule({ method: "GET", path: MANIFEST }, { type: "wrong-digest" }, EACH_ONCE)] },
  },
  {
    what: "source: a manifest ends early",
    source: { rules: [rule({ method: "GET", path: MANIFEST }, { type: "truncate", afterBytes: 100 }, { times: 2 })] },
  },
  {
    what: "source: blobs say they are gzip",
    source: { rules: [rule(GET_BLOB, { type: "headers", set: { "content-encoding": "gzip" } })] },
  },
  {
    what: "source: a blob drips, but moves",
    source: { rules: [rule(GET_BLOB, { type: "slow", bytesPerSecond: 1_500_000 }, EACH_ONCE)] },
  },
  {
    what: "source: a blob stands still in its midst",
    source: { rules: [rule(GET_BLOB, { type: "stall", afterBytes: 300_000 }, EACH_ONCE)] },
  },
  {
    what: "source: a blob is 404 twice",
    source: { rules: [rule(GET_BLOB, { type: "status", status: 404, code: "BLOB_UNKNOWN" }, { times: 2 })] },
  },
  {
    what: "source: the store behind a redirect forgets its addresses",
    source: { redirect: true },
    prepare: (source) => {
      source.cdnFaults.add(rule({}, { type: "status", status: 403 }, EACH_ONCE));
      return {};
    },
  },
  {
    what: "source: the store behind a redirect cuts, then refuses the rest",
    source: { redirect: true },
    prepare: (source) => {
      source.cdnFaults.add(
        rule({ header: { range: /./ } }, { type: "status", status: 403 }, ONCE),
        rule({}, { type: "reset", afterBytes: MIB }, EACH_ONCE),
      );
      return {};
    },
  },
  {
    what: "source: the store behind a redirect ignores ranges",
    source: { redirect: true },
    prepare: (source) => {
      source.cdnFaults.add(
        rule({ header: { range: /./ } }, { type: "no-ranges" }),
        rule({}, { type: "truncate", afterBytes: MIB }, EACH_ONCE),
      );
      return {};
    },
  },
  {
    what: "source: every token is taken away while blobs are read",
    source: LOGIN,
    prepare: (source) => {
      void source.recorder.when(({ path }) => BLOB.test(path)).then(() => source.authority.expireTokens());
      return {};
    },
  },
];

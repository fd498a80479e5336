/** Registries whose parts lag behind one another or are not there yet, and what nobody can come through. */
import type { Trial } from "./trial.ts";
import {
  GET_BLOB,
  HEAD_BLOB,
  LOGIN,
  MOUNT,
  ONCE,
  PATCH_BLOB,
  POST_UPLOAD,
  PUT_BLOB,
  PUT_MANIFEST,
  PUT_TAG,
  rule,
  TOKEN,
} from "./trial-parts.ts";

/** A registry whose parts learn of one another after a while. */
export const LAGGING: Trial[] = [
  {
    what: "target: what was written is not found for a while",
    target: {
      rules: [
        rule(PUT_BLOB, { type: "late-reset" }, ONCE),
        rule(HEAD_BLOB, { type: "status", status: 404, code: "BLOB_UNKNOWN", body: "" }, { times: 2 }),
      ],
    },
  },
  ...(
    [
      [400, "MANIFEST_BLOB_UNKNOWN"],
      [404, "MANIFEST_BLOB_UNKNOWN"],
      [404, "BLOB_UNKNOWN"],
      [404, "NAME_UNKNOWN"],
      [400, "MANIFEST_UNKNOWN"],
    ] as const
  ).map(([status, code]) => ({
    what: `target: a manifest is refused twice with ${status} ${code}`,
    target: { rules: [rule(PUT_MANIFEST, { type: "status" as const, status, code }, { times: 2 })] },
  })),
  {
    what: "target: the tag is refused twice with 404 MANIFEST_UNKNOWN",
    target: {
      rules: [rule(PUT_TAG, { type: "status", status: 404, code: "MANIFEST_UNKNOWN" }, { times: 2 })],
    },
  },
  { what: "target: mounts are not granted", source: { mount: "none" }, oneHost: true },
  {
    what: "target: a mount is granted, and the blob is not there",
    source: { rules: [rule(MOUNT, { type: "status", status: 201, body: "" }, ONCE)] },
    oneHost: true,
  },
  {
    what: "target: a blob is said to be there that is not",
    target: {
      rules: [
        rule(PUT_BLOB, { type: "status", status: 503 }, ONCE),
        rule(HEAD_BLOB, { type: "status", status: 200, body: "" }, ONCE),
      ],
    },
  },
  { what: "target: nobody listens for two seconds", lateMs: 2_000 },
];

/** What nobody can come through: the reason is told, and the side. */
export const HOPELESS: Trial[] = [
  {
    what: "source: Retry-After is beyond all patience",
    source: { rules: [rule(GET_BLOB, { type: "status", status: 429, headers: { "retry-after": "86400" } })] },
    fails: { side: "source", says: [/asks to be left alone until \d{4}-/, /Try the copy again then/] },
  },
  {
    what: "target: Retry-After is a date beyond all patience",
    target: {
      rules: [
        rule(POST_UPLOAD, { type: "status", status: 503, headers: { "retry-after": "Fri, 31 Dec 2049 23:59:59 GMT" } }),
      ],
    },
    fails: { side: "target", says: [/asks to be left alone until 2049-12-31T23:59:59/] },
  },
  {
    what: "source: a blob is never found",
    source: { rules: [rule(GET_BLOB, { type: "status", status: 404, code: "BLOB_UNKNOWN" })] },
    fails: {
      side: "source",
      says: [/answered 404 to "read blob"/, /push the image to \S+ once more/, /tried 4 times/],
    },
  },
  {
    what: "source: blobs are always wrong",
    source: { rules: [rule(GET_BLOB, { type: "corrupt", atByte: 5 })] },
    fails: {
      side: "source",
      says: [/sent bytes with the digest sha256:\w+ in place of the blob's own \(blob sha256:/, /tried 3 times/],
    },
  },
  {
    what: "source: a token endpoint always fails",
    source: { ...LOGIN, rules: [rule({ path: TOKEN }, { type: "status", status: 500 })] },
    fails: { side: "source", says: [/token endpoint \S+ answered 500/, /tried 6 times/] },
  },
  {
    what: "target: a manifest is always refused with MANIFEST_BLOB_UNKNOWN",
    target: { rules: [rule(PUT_MANIFEST, { type: "status", status: 400, code: "MANIFEST_BLOB_UNKNOWN" })] },
    fails: { side: "target", says: [/answered 400 to "write manifest"/, /tried 5 times/] },
  },
  {
    what: "target: every mount is granted, and no blob is there",
    source: { rules: [rule(MOUNT, { type: "status", status: 201, body: "" })] },
    oneHost: true,
    fails: { side: "target", says: [/is not in the repository/, /tried 5 times/] },
  },
  {
    what: "target: no form of an upload is taken",
    target: { rules: [rule({ method: ["PUT", "PATCH"], path: PUT_BLOB.path ?? "" }, { type: "status", status: 400 })] },
    fails: { side: "target", says: [/answered 400 to "upload blob"/, /tried \d times/] },
  },
  {
    what: "target: POSTs never have a Location",
    target: { rules: [rule(POST_UPLOAD, { type: "location", to: () => null })] },
    unknownUploads: 100,
    fails: { side: "target", says: [/answered 202 without the Location of the upload/, /tried 6 times/] },
  },
  {
    what: "target: POSTs are redirected in circles",
    target: { rules: [rule(POST_UPLOAD, { type: "redirect", status: 307 })] },
    fails: { side: "target", says: [/redirected more than 10 times \("start upload"\)/] },
  },
  {
    what: "target: PUTs are redirected in circles",
    target: { rules: [rule(PUT_BLOB, { type: "redirect", status: 307 })] },
    fails: { side: "target", says: [/answered PUT with 307 to http:\S+, again and again; set hostname/] },
  },
  {
    what: "target: chunks are refused with 403",
    target: {
      rules: [rule({ ...PATCH_BLOB, method: ["PUT", "PATCH"] }, { type: "status", status: 403, code: "DENIED" })],
    },
    fails: { side: "target", says: [/answered 403 to "upload blob"/, /log in to it first/] },
  },
  {
    what: "target: the tag may not be written",
    target: { rules: [rule(PUT_TAG, { type: "status", status: 403, code: "DENIED" })] },
    fails: { side: "target", says: [/answered 403 to "write manifest" of mirror\/app:v1 \(DENIED\)/] },
  },
];

/** What a target makes of what is written to it. All of it can be come through. */
import type { RegistryOptions } from "../registry-server/server.ts";
import type { Trial } from "./trial.ts";
import {
  CHUNKED,
  EACH_ONCE,
  LARGE,
  LOGIN,
  MIB,
  ONCE,
  PATCH_BLOB,
  POST_UPLOAD,
  PUT_BLOB,
  PUT_MANIFEST,
  rule,
  UPLOAD,
} from "./trial-parts.ts";

export const WRITING: Trial[] = [
  ...[400, 401, 404, 409, 410, 416].map((status) => ({
    what: `target: a PUT is answered with ${status} once`,
    target: { rules: [rule(PUT_BLOB, { type: "status" as const, status }, ONCE)] },
  })),
  ...[400, 401, 404, 409, 413, 416].map((status) => ({
    what: `target: a chunk is answered with ${status} once`,
    target: { ...CHUNKED, rules: [rule({ ...PATCH_BLOB, ...LARGE }, { type: "status" as const, status }, ONCE)] },
  })),
  {
    what: "target: a session is forgotten after its chunks",
    target: {
      ...CHUNKED,
      rules: [rule({ ...PUT_BLOB, header: { "content-length": /^0$/ } }, { type: "lose-upload" }, ONCE)],
    },
  },
  {
    what: "target: every session is forgotten once",
    target: { rules: [rule(PUT_BLOB, { type: "lose-upload" }, { times: 4 })] },
  },
  {
    what: "target: a PUT is answered with 202",
    target: { rules: [rule(PUT_BLOB, { type: "late-error", status: 202 })] },
  },
  {
    what: "target: a PUT is answered with 200",
    target: { rules: [rule(PUT_BLOB, { type: "late-error", status: 200 })] },
  },
  {
    what: "target: a PUT is answered with 202, and nothing is done, once",
    target: { rules: [rule(PUT_BLOB, { type: "status", status: 202 }, ONCE)] },
  },
  {
    what: "target: a PUT is answered with 201, and nothing is done, once",
    unknownUploads: 1,
    target: { rules: [rule(PUT_BLOB, { type: "status", status: 201, body: "" }, ONCE)] },
  },
  { what: "target: a PATCH closes the upload with 201", target: { forms: ["patch"], closesOnPatch: true } },
  { what: "target: Locations are absolute", target: { location: "absolute" } },
  {
    what: "target: a POST has no Location once",
    unknownUploads: 1,
    target: { rules: [rule(POST_UPLOAD, { type: "location", to: () => null }, ONCE)] },
  },
  {
    what: "target: a PATCH has no Location",
    target: { ...CHUNKED, rules: [rule(PATCH_BLOB, { type: "location", to: () => null }, { ...ONCE, skip: 1 })] },
  },
  {
    what: "target: Locations have more in their query",
    target: {
      rules: [rule({ path: UPLOAD }, { type: "location", to: (location) => `${location}&_more=a%2Fb+c%3D%3D` })],
    },
  },
  {
    what: "target: Locations are relative to what was asked",
    target: {
      rules: [rule(POST_UPLOAD, { type: "location", to: (location) => location.replace(/^.*\/blobs\/uploads\//, "") })],
    },
  },
  {
    what: "target: Locations have no scheme",
    prepare: (_, target) => ({
      target: [rule({ path: UPLOAD }, { type: "location", to: (location) => `//${target.host}${location}` })],
    }),
  },
  ...(["", "0-5", "bytes=0-0", "5-1", "0-99999999999", "nonsense"] as const).map((range) => ({
    what: `target: chunks are answered with the Range "${range}"`,
    target: {
      ...CHUNKED,
      rules: [
        rule(PATCH_BLOB, range === "" ? { type: "headers", drop: ["range"] } : { type: "headers", set: { range } }),
      ],
    } satisfies RegistryOptions,
  })),
  { what: "target: the Range of chunks stands still", target: { ...CHUNKED, rangeStandsStill: true } },
  ...(["0-5", "0-99999999999", "nonsense"] as const).map((range) => ({
    what: `target: a PUT is cut, and the offset is said to be "${range}"`,
    target: {
      rules: [
        rule({ ...PUT_BLOB, ...LARGE }, { type: "reset-request", afterBytes: 2 * MIB }, ONCE),
        rule({ method: "GET", path: UPLOAD }, { type: "headers" as const, set: { range } }),
      ],
    },
  })),
  {
    what: "target: PUTs are cut after all their bytes",
    target: { rules: [rule(PUT_BLOB, { type: "late-reset" })] },
  },
  {
    what: "target: each upload is cut in its midst once",
    target: { rules: [rule(PUT_BLOB, { type: "reset-request", afterBytes: 15_000 }, { times: 4 })] },
  },
  {
    what: "target: what a cut has brought is thrown away",
    target: {
      dropsBroken: true,
      rules: [rule({ ...PUT_BLOB, ...LARGE }, { type: "reset-request", afterBytes: MIB }, { times: 2 })],
    },
  },
  {
    what: "target: a PUT is taken slowly, but moves",
    target: { rules: [rule(PUT_BLOB, { type: "slow-request", bytesPerSecond: 1_500_000 }, EACH_ONCE)] },
  },
  {
    what: "target: a PUT's body is not taken, once",
    target: { rules: [rule(PUT_BLOB, { type: "hang" }, ONCE)] },
  },
  ...["docker-content-digest", "location"].map((name) => ({
    what: `target: what was written is answered without ${name}`,
    target: { rules: [rule({ method: "PUT" }, { type: "headers" as const, drop: [name] })] },
  })),
  {
    what: "target: a blob is stored under another digest, it says once",
    target: { rules: [rule(PUT_BLOB, { type: "wrong-digest" }, ONCE)] },
  },
  {
    what: "target: a manifest is stored under another digest, it says once",
    target: { rules: [rule(PUT_MANIFEST, { type: "wrong-digest" }, ONCE)] },
  },
  ...[400, 403, 405, 501].map((status) => ({
    what: `target: HEADs are answered with ${status}`,
    target: { rules: [rule({ method: "HEAD" }, { type: "status" as const, status, body: "" })] },
  })),
  ...[307, 308].map((status) => ({
    what: `target: an upload's POST is redirected with ${status}`,
    target: { rules: [rule({ ...POST_UPLOAD, path: /uploads\/$/ }, { type: "redirect" as const, status })] },
  })),
  {
    what: "target: a manifest's PUT is redirected",
    target: {
      rules: [rule({ method: "PUT", path: /manifests\/[^?]*$/ }, { type: "redirect", status: 307 })],
    },
  },
  {
    what: "target: a blob's PUT is redirected",
    target: { rules: [rule({ method: "PUT", path: /uploads\/(?!.*moved)/ }, { type: "redirect", status: 307 })] },
  },
  {
    what: "target: chunks are redirected",
    target: {
      ...CHUNKED,
      rules: [rule({ method: "PATCH", path: /uploads\/(?!.*moved)/ }, { type: "redirect", status: 307 })],
    },
  },
  {
    what: "target: every token is taken away while blobs are written",
    target: LOGIN,
    prepare: (_, target) => {
      void target.recorder.when(({ method }) => method === "POST").then(() => target.authority.expireTokens());
      return {};
    },
  },
  {
    what: "target: every token is taken away between chunks",
    target: { ...LOGIN, ...CHUNKED },
    prepare: (_, target) => {
      void target.recorder.when(({ method }) => method === "PATCH").then(() => target.authority.expireTokens());
      return {};
    },
  },
];

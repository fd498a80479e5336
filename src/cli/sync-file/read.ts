/**
 * From the text of a file of copies to a plan: which format it is, what it says, and whether the API would take it. Everything
 * that can be said before a registry is asked. Pure.
 */
import { CopyRequestSchema } from "../../api/copy-request-schema.ts";
import { copyRequestOf } from "../../api/copy-request.ts";
import { Problem } from "../../api/problem.ts";
import { CopyError } from "../../registry/errors.ts";
import type { Path, PlannedCopy, PlannedRegistry, ReadingOptions, SyncFormat, SyncPlan } from "./contract.ts";
import { SyncDocument, type Place } from "./document.ts";
import { checkedBy, pathText, refuse, SyncFileError, type FileFault } from "./faults.ts";
import { readImageSyncer } from "./image-syncer.ts";
import { readOwn } from "./own.ts";
import { copiesOf } from "./repository-place.ts";
import { collisions, rivals } from "./rivalry.ts";
import { readRegsync } from "./regsync.ts";
import { readSkopeo } from "./skopeo.ts";

export interface SyncReading {
  plan: SyncPlan;
  placeOf: (path: Path) => Place;
}

/** A fault in words with its place: `12:7: copies[3].source: …`. */
export interface PlacedFault {
  place: Place | null;
  field: string;
  message: string;
}

/** The file is wrong: everything that is wrong, in the order of the file. */
export class WrongFile extends Error {
  readonly faults: readonly PlacedFault[];

  constructor(faults: readonly PlacedFault[]) {
    super("The file cannot be used.");
    this.name = "WrongFile";
    this.faults = faults;
  }
}

/** A repository's name, for what can be said of an entry before its registry is asked which ones it has. */
const EXAMPLE = "repository";

const READERS = { own: readOwn, regsync: readRegsync, skopeo: readSkopeo, "image-syncer": readImageSyncer } as const;

/**
 * @param format Undefined: what it looks like.
 * @throws WrongFile
 */
export function readSyncFile(text: string, format: SyncFormat | undefined, options: ReadingOptions): SyncReading {
  let document: SyncDocument | null = null;
  try {
    document = new SyncDocument(text);
    const kind = format ?? recognised(document.data("text"));
    const data = document.data(kind === "own" ? "values" : "text");
    const plan = READERS[kind](data, options);
    const faults = [
      ...plan.copies.flatMap((copy) => faultsOf(copy, options.nowMs)),
      ...plan.registries.flatMap((entry) => faultsOfRegistry(entry, options.nowMs)),
      ...rivals(plan.copies),
    ];
    if (faults.length > 0) {
      throw new SyncFileError(faults);
    }
    const notes = [...plan.notes, ...collisions(plan.copies)];
    const known = document;
    return { plan: { ...plan, notes }, placeOf: (path) => known.placeOf(path) };
  } catch (error) {
    if (error instanceof SyncFileError) {
      throw new WrongFile(error.faults.map((fault) => placed(fault, document)).sort(byPlace));
    }
    throw error;
  }
}

/** Which tool's file it is. */
function recognised(data: unknown): SyncFormat {
  if (typeof data === "object" && data !== null && !Array.isArray(data)) {
    if ("copies" in data) {
      return "own";
    }
    if ("sync" in data) {
      return "regsync";
    }
    const values: unknown[] = Object.values(data);
    const areRules =
      values.length > 0 && values.every(isTargets) && Object.keys(data).every((key) => key.includes("/"));
    if ("images" in data || areRules) {
      return "image-syncer";
    }
    if (values.some((value) => typeof value === "object" && value !== null && Object.keys(value).some(isOfSkopeo))) {
      return "skopeo";
    }
  }
  return refuse(
    null,
    "this is no file of copies: expected `copies` (Drayage's own format), `sync` (regsync), registries with `images` (skopeo " +
      "sync) or `images` (image-syncer)",
  );
}

function isTargets(value: unknown): boolean {
  return typeof value === "string" || (Array.isArray(value) && value.every((each) => typeof each === "string"));
}

function isOfSkopeo(key: string): boolean {
  return key === "images" || key.startsWith("images-by-");
}

/** What the service would say to a request, as it would of a service on this machine, which may call any registry. */
function faultsOf({ body, path }: PlannedCopy, nowMs: number): FileFault[] {
  try {
    copyRequestOf(checkedBy(CopyRequestSchema, body), { LOCAL: "true" }, nowMs);
    return [];
  } catch (error) {
    if (error instanceof SyncFileError) {
      return error.faults.map((fault) => ({ ...fault, path: [...path, ...(fault.path ?? [])] }));
    }
    if (error instanceof Problem) {
      return error.errors.map(({ field, message }) => ({ path: below(path, field), message }));
    }
    throw error;
  }
}

/** What can be said of copies before it is known of which repositories they are. */
function faultsOfRegistry(entry: PlannedRegistry, nowMs: number): FileFault[] {
  try {
    return copiesOf(entry, EXAMPLE, nowMs).flatMap((copy) => faultsOf(copy, nowMs));
  } catch (error) {
    if (error instanceof CopyError) {
      return [{ path: entry.path, message: error.detail.message }];
    }
    throw error;
  }
}

/** A field of the API, such as `tags.include.0`, below an entry of the file. A list `targets` has an entry per target. */
export function below(path: Path, field: string): Path {
  const parts = field.split(/[.[\]]+/).filter((part) => part !== "");
  const ofTargets = path.at(-2) === "targets";
  if (ofTargets && field === "target") {
    return path;
  }
  return [
    ...(ofTargets ? path.slice(0, -2) : path),
    ...parts.map((part) => (/^\d+$/.test(part) ? Number(part) : part)),
  ];
}

function placed({ path, message, at }: FileFault, document: SyncDocument | null): PlacedFault {
  return {
    place: at ?? (path === null || document === null ? null : document.placeOf(path)),
    field: path === null ? "" : pathText(path),
    message,
  };
}

function byPlace(a: PlacedFault, b: PlacedFault): number {
  return (a.place?.line ?? 0) - (b.place?.line ?? 0) || (a.place?.column ?? 0) - (b.place?.column ?? 0);
}

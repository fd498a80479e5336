/** What a file of copies says, whichever tool's format it is in: requests for the API, and what else a run has to know. Plain data. */
import type { CopyRequestSchema } from "../../api/copy-request-schema.ts";
import type { Credential } from "../../registry/credentials.ts";
import type { input } from "zod";

export const SYNC_FORMATS = ["own", "regsync", "skopeo", "image-syncer"] as const;

export type SyncFormat = (typeof SYNC_FORMATS)[number];

/** Keys and positions in lists that lead to a value of the file. */
export type Path = readonly (string | number)[];

/** The body of one `POST /v1/copies`. */
export type SyncBody = input<typeof CopyRequestSchema>;

export interface PlannedCopy {
  body: SyncBody;
  /** Where in the file it stands. */
  path: Path;
  /** Targets of copies that are alike but for these, its own among them: one list for all, to be asked for at once. */
  alongside?: readonly string[];
}

/** Copies of the repositories that a registry lists: which ones there are is known once it has been asked. */
export interface PlannedRegistry {
  /** Registry host whose repositories are meant. */
  host: string;
  choice: RepositoryChoice;
  /** Made for each repository; `{repository}` stands for its name in the source, and targets are templates. */
  copies: PlannedCopy[];
  /** Where in the file it stands. */
  path: Path;
}

/** Every condition that is there must hold. */
export interface RepositoryChoice {
  /** `host/team/**`, as `access/pattern.ts` reads it. */
  pattern?: string;
  /** Expressions, one of which must match the whole name. */
  include?: readonly string[];
  /** Expressions, none of which may match the whole name. */
  exclude?: readonly string[];
}

/** An entry that cannot be carried out as it was meant. It counts as a copy that failed. */
export interface UnservedEntry {
  source: string;
  target: string;
  path: Path;
  message: string;
}

/** Something that a person should know before the run: what is not honoured, what looks like a mistake. */
export interface Note {
  path: Path;
  message: string;
}

export interface SyncPlan {
  format: SyncFormat;
  copies: PlannedCopy[];
  registries: PlannedRegistry[];
  unserved: UnservedEntry[];
  notes: Note[];
  local: LocalSettings;
}

/** What a file says of registries. Counts only where the service is started for the run. */
export interface LocalSettings {
  /** Host settings as `HOSTS` has them, by canonical host. */
  hosts: Record<string, Record<string, unknown>>;
  /** By place: a registry host, or `host/repository prefix`. */
  credentials: Map<string, Credential>;
  /** The user's own credentials are not to be looked at. */
  withoutUserCredentials: boolean;
}

/** What readers are told of the world around the file. */
export interface ReadingOptions {
  /** `HOST[/PREFIX]` that skopeo's files and rules without a target of their own go to. */
  to?: string;
  /** Whole names of sources below `to`, as `skopeo sync --scoped` has them. */
  scoped?: boolean;
  env: Readonly<Record<string, string | undefined>>;
  /** Milliseconds since the epoch. */
  nowMs: number;
  /** The text of a file that the file names; throws where it cannot be read. */
  readFile: (path: string) => string;
}

export function noLocalSettings(): LocalSettings {
  return { hosts: {}, credentials: new Map(), withoutUserCredentials: false };
}

/** A copy as asked for, after the schema and the references have been checked. Plain data; kept in the job's ledger. */
import type { Reference } from "../registry/reference.ts";

export interface CopyRequest {
  /** Who has asked, and by what; missing: nobody knows. It changes nothing of the copy. */
  asked?: Asked;
  /**
   * Repositories of the target's host, as patterns (`access/scopes.ts`), from which blobs may be mounted besides the source;
   * missing: none.
   */
  mountable?: string[];
  /** With neither tag nor digest: the repository, with the tags that `tags` selects. */
  source: Reference;
  target: Reference;
  /** Id of the group of copies with one source that it is one of; missing: it was asked for alone. */
  group?: string;
  /** Nobody waits for it: it leaves the reserve of a host's quota to others. */
  background?: boolean;
  /** Which tags of a repository; missing: all. */
  tags?: TagSelection;
  /** Name of each tag at the target, such as `v{tag}`; missing: the same name. */
  targetTag?: string;
  /** Media types of manifests: a name that stands for another is left out; missing: none is. Lower case. */
  mediaTypes?: string[];
  /** Which platforms of an index; missing: all. */
  platforms?: PlatformSelection;
  /** What refers to the images; missing: nothing beyond what the images name themselves. */
  attached?: AttachedSelection;
  /** What becomes of a tag that the target has with another digest; missing: it is overwritten. */
  existing?: ExistingTagPolicy;
  /** Looks into what the target has already, down to its blobs, and makes it whole. */
  deep?: boolean;
  /** Copies layers that carry other addresses too (Docker's foreign layers). */
  includeForeign?: boolean;
  /** Says what would be done, and writes nothing at the target. */
  dryRun?: boolean;
  /** One failed tag ends a repository's copy; missing: the others go on. */
  failFast?: boolean;
  /** Removes tags at the target that the selection does not name any more. */
  prune?: PruneRule;
}

export interface Asked {
  /** Id of a principal. */
  by: string;
  /** Of the principal, for a person. */
  name: string;
  /** A request to the API, or what made a rule run: a webhook, its schedule, somebody's hand. */
  how: "api" | "push" | "schedule" | "manual";
  /** Name of the rule; null: there was none. */
  rule: string | null;
}

/** Every condition that is there must hold. Expressions match the whole tag. */
export interface TagSelection {
  /** Regular expressions, one of which must match. */
  include?: string[];
  /** Regular expressions, none of which may match. */
  exclude?: string[];
  /** A range such as `>=1.2 <3`: tags that are no versions are left out. */
  semver?: string;
  /** Of those that are left, only the newest. */
  latest?: { count: number; by: "semver" | "creation" };
  /** Only images created after this moment, milliseconds since the epoch. */
  newerThanMs?: number;
  /** Expressions for tags that never change: one that the target has is not asked for. */
  immutable?: string[];
}

export interface PlatformSelection {
  /** `os/architecture[/variant]`, as containerd writes them. */
  wanted: string[];
  /**
   * `sparse`: the index as it is, though not all it names is copied. `rewrite`: an index of what is copied, with a digest
   * of its own. `single`: the one platform's image, without an index.
   */
  index: "sparse" | "rewrite" | "single";
}

export interface AttachedSelection {
  /** Manifests whose `subject` is copied too, found by the referrers API or its fallback tag; recursively. */
  referrers?: { artifactTypes?: string[]; annotations?: Record<string, string> };
  /** Tags named after a digest, such as `sha256-….sig`: cosign's way. */
  digestTags?: boolean;
}

export type ExistingTagPolicy =
  | { kind: "overwrite" | "skip" | "fail" }
  /** Before it is overwritten, the old digest gets this tag, such as `{tag}-{date}`. */
  | { kind: "backup"; tag: string };

export interface PruneRule {
  /** More than so many are never removed: the copy fails instead. */
  maxTags: number;
  /** Only says which ones. */
  dryRun: boolean;
}

/** The one platform that is asked for, for templates; empty: none, or several. */
export function platformOf({ platforms }: Pick<CopyRequest, "platforms">): { platform?: string } {
  const [platform, other] = platforms?.wanted ?? [];
  return platform === undefined || other !== undefined ? {} : { platform };
}

/** Whether it is about a whole repository rather than one name in it. */
export function isRepositoryCopy({ source }: CopyRequest): boolean {
  return source.tag === undefined && source.digest === undefined;
}

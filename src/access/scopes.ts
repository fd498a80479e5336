/**
 * What a principal may do with references: the one place that decides it, for requests, rules and webhooks alike. Pure.
 */
import type { CopyRequest } from "../copy/request.ts";
import { formatReference, type Reference } from "../registry/reference.ts";
import type { Action, Limits, Principal, Scopes } from "./contract.ts";
import { covers, formatPattern, hostInPattern, inPattern, readPattern, type Pattern } from "./pattern.ts";

/** They go along with every blob; a blob that is not mounted for want of a pattern is copied. */
const MAX_MOUNT_PATTERNS = 20;

/** Whether the action is among those that the principal may do. */
export function mayDo({ scopes }: Principal, action: Action): boolean {
  return scopes.actions.includes(action);
}

/**
 * Why the principal may not make this copy: which side, and a sentence for a person; null: it may. What a copy writes
 * beside the target's own tag (backups, tags named after digests, other names) needs the whole repository.
 */
export function copyRefusal(
  principal: Principal,
  request: CopyRequest,
): { side: "source" | "target" | "action"; message: string } | null {
  const { source, target } = request;
  if (!mayDo(principal, "copy")) {
    return { side: "action", message: `${principal.name} may not copy.` };
  }
  const removes = request.prune !== undefined && !request.prune.dryRun && request.dryRun !== true;
  if (removes && !mayDo(principal, "prune")) {
    return { side: "action", message: `${principal.name} may not remove tags: prune is not among its actions.` };
  }
  if (!inScope(source, principal.scopes.sources)) {
    return {
      side: "source",
      message: `The source ${formatReference(source)} lies outside the sources of ${principal.name}.`,
    };
  }
  const written = writesOtherTags(request) ? { host: target.host, repository: target.repository } : target;
  if (!inScope(written, principal.scopes.targets)) {
    return {
      side: "target",
      message:
        `The target ${formatReference(target)} lies outside the targets of ${principal.name}` +
        (written === target ? "." : ", since such a copy writes other tags as well; it needs the whole repository."),
    };
  }
  return null;
}

/** Which copies are the principal's to see and to cancel: its own, and those between repositories that are all its. */
export function copyViewOf({ id, scopes }: Pick<Principal, "id" | "scopes">): (copy: OwnedCopy) => boolean {
  const [sources, targets] = [patternsOf(scopes.sources), patternsOf(scopes.targets)];
  return ({ owner, source, target }) =>
    owner === id ||
    (sources.some((pattern) => inPattern(source, pattern)) && targets.some((pattern) => inPattern(target, pattern)));
}

export interface OwnedCopy {
  owner: string;
  source: Reference;
  target: Reference;
}

/** Whether the principal may see how things stand at a registry host: one that a copy in its scopes could name. */
export function mayUseHost({ scopes }: Principal, host: string): boolean {
  return patternsOf([...scopes.sources, ...scopes.targets]).some((pattern) => hostInPattern(host, pattern));
}

/**
 * From which repositories of a registry host blobs may be mounted for the principal, as patterns: those that it may copy
 * from with all their tags. A mount needs nothing but a digest, so that whoever knows one could otherwise take a blob from
 * wherever the service itself may read.
 */
export function mountScope({ scopes }: Pick<Principal, "scopes">, host: string): string[] {
  return patternsOf(scopes.sources)
    .filter((pattern) => pattern.tag === null && hostInPattern(host, pattern))
    .slice(0, MAX_MOUNT_PATTERNS)
    .map(formatPattern);
}

/**
 * Which repositories of a registry host the principal may copy from with all their tags: `all`, or those that pass the
 * test; null: none can.
 */
export function readableAt(
  { scopes }: Pick<Principal, "scopes">,
  host: string,
): "all" | ((repository: string) => boolean) | null {
  const patterns = patternsOf(scopes.sources).filter((each) => each.tag === null && hostInPattern(host, each));
  if (patterns.length === 0) {
    return null;
  }
  const everything: Pattern = { elements: [host, "**"], tag: null };
  return patterns.some((pattern) => covers(pattern, everything))
    ? "all"
    : (repository) => patterns.some((pattern) => inPattern({ host, repository }, pattern));
}

/** Whether a {@link mountScope} has the repository in it. */
export function mayMount(scope: readonly string[], host: string, repository: string): boolean {
  return inScope({ host, repository }, scope);
}

/** Everything in which `wanted` goes beyond `held`, each as the end of a sentence that begins with the field. Empty: nothing. */
export function widenings(held: Scopes, wanted: Scopes): { field: string; message: string }[] {
  const sides = (["sources", "targets"] as const).flatMap((side) => {
    const wide = patternsOf(held[side]);
    return patternsOf(wanted[side])
      .filter((narrow) => !wide.some((pattern) => covers(pattern, narrow)))
      .map((pattern) => ({
        field: `scopes.${side}`,
        message: `${formatPattern(pattern)} is beyond your own ${side}; a key cannot give what it does not have`,
      }));
  });
  const actions = wanted.actions
    .filter((action) => !held.actions.includes(action))
    .map((action) => ({ field: "scopes.actions", message: `${action} is not among your own actions` }));
  return [...sides, ...actions];
}

/** The limits of a key made under limits: its own where they are tighter, its maker's where it has none. */
export function tighter(held: Limits, wanted: Limits): Limits {
  const copiesAtOnce = Math.min(held.copiesAtOnce ?? Infinity, wanted.copiesAtOnce ?? Infinity);
  const copiesPerHour = Math.min(held.copiesPerHour ?? Infinity, wanted.copiesPerHour ?? Infinity);
  return {
    ...(copiesAtOnce === Infinity ? {} : { copiesAtOnce }),
    ...(copiesPerHour === Infinity ? {} : { copiesPerHour }),
  };
}

/** Scopes with each pattern in its one spelling and each action once. Patterns must have been checked. */
export function canonicalScopes(scopes: Scopes): Scopes {
  const canonical = (texts: readonly string[]) => [...new Set(patternsOf(texts).map(formatPattern))];
  return {
    sources: canonical(scopes.sources),
    targets: canonical(scopes.targets),
    actions: [...new Set(scopes.actions)],
  };
}

function inScope(reference: Reference, texts: readonly string[]): boolean {
  return patternsOf(texts).some((pattern) => inPattern(reference, pattern));
}

/** A text that is no pattern, which no schema lets in, allows nothing. */
function patternsOf(texts: readonly string[]): Pattern[] {
  return texts.map(readPattern).filter((pattern): pattern is Pattern => !("fault" in pattern));
}

function writesOtherTags({ targetTag, attached, existing, prune }: CopyRequest): boolean {
  return targetTag !== undefined || attached !== undefined || existing?.kind === "backup" || prune !== undefined;
}

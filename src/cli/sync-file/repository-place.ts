/**
 * Copies whose repositories are not named in the file: patterns over sources, and `{repository}` where a name is to stand. As
 * in rules. Pure.
 */
import { readPattern } from "../../access/pattern.ts";
import { dependsOnRepository, fillTarget, readTarget } from "../../sync/target.ts";
import type { PlannedCopy, PlannedRegistry } from "./contract.ts";
import { repositoryText } from "./names.ts";

/** Stands for a repository's name in a source. */
export const REPOSITORY_PLACE = "{repository}";

/**
 * An entry's copies of one repository.
 * @throws CopyError `invalid_request` when a target's template gives no name for it.
 */
export function copiesOf({ host, copies }: PlannedRegistry, repository: string, nowMs: number): PlannedCopy[] {
  const filled = new Map<readonly string[], readonly string[]>();
  const targetOf = (template: string): string => {
    const target = readTarget(template);
    // Templates are checked when the file is read.
    return "fault" in target ? template : repositoryText(fillTarget(target, { host, repository }, nowMs));
  };
  return copies.map(({ body, path, alongside }) => {
    const copy = {
      body: { ...body, source: body.source.replace(REPOSITORY_PLACE, repository), target: targetOf(body.target) },
      path,
    };
    if (alongside === undefined) {
      return copy;
    }
    // Those that are asked for together know each other by the very same list.
    const together = filled.get(alongside) ?? alongside.map(targetOf);
    filled.set(alongside, together);
    return { ...copy, alongside: together };
  });
}

/** The registry of a pattern in its one spelling. @param source Without a {@link patternFault}. */
export function patternHost(source: string): string {
  const pattern = readPattern(source);
  return "fault" in pattern ? "" : (pattern.elements[0] ?? "");
}

/** What is wrong with a pattern over the repositories of one registry, as the end of a sentence; null: nothing. */
export function patternFault(source: string): string | null {
  if (source.includes("@")) {
    return "names a digest beside a pattern; a pattern is of repositories";
  }
  const pattern = readPattern(source);
  if ("fault" in pattern) {
    return pattern.fault;
  }
  if (/:[^/]*$/.test(source.slice(source.indexOf("/")))) {
    return "names a tag beside a pattern; leave it out, and choose with tags.include";
  }
  return patternHost(source).includes("*") ? "must begin with one registry host, which is asked for its list" : null;
}

/** What is wrong with a target of several repositories, as the end of a sentence; null: nothing. */
export function targetFault(text: string): string | null {
  const target = readTarget(text);
  if ("fault" in target) {
    return target.fault;
  }
  return dependsOnRepository(target)
    ? null
    : "gives the repositories of the pattern one name; have {repository} in it, as in registry.example.com/mirror/{repository}";
}

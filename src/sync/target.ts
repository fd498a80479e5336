/**
 * Where a rule's copies go: `registry.example.com/mirror/{repository}`. Pure. The registry host stands fixed, the repository
 * is a template (`copy/templates.ts`) that is filled in for each source.
 */
import { readPattern, type Pattern } from "../access/pattern.ts";
import { describeTemplateFault, fillTemplate } from "../copy/templates.ts";
import { errorDetailOf } from "../registry/errors.ts";
import { parseName, type Reference } from "../registry/reference.ts";
import type { TargetTemplate } from "./contract.ts";

const PLACE = /\{[^{}]*\}/g;

/** What a repository can tell of itself; the other names of templates belong to a single image. */
const REPOSITORY_PLACES = "{repository}, {name}, {host}, {date}, {time}";

/** Reads a target. The fault is the end of a sentence that begins with the field. */
export function readTarget(text: string): TargetTemplate | { fault: string } {
  let sample: Reference;
  try {
    sample = parseName(text.replaceAll(PLACE, "x"), "target");
  } catch (thrown) {
    return { fault: errorDetailOf(thrown).message };
  }
  if (sample.tag !== undefined || sample.digest !== undefined) {
    return { fault: 'names a tag or digest; name the repository here and the tags in "target_tag"' };
  }
  const slash = text.indexOf("/");
  const first = text.slice(0, Math.max(slash, 0));
  const isHost = /[.:[\]]/.test(first) || first.toLowerCase() === "localhost";
  if (!isHost || first.includes("{")) {
    return { fault: 'must begin with its registry host, as in "registry.example.com/mirror/{repository}"' };
  }
  const repository = text.slice(slash + 1);
  const fault = describeTemplateFault(repository, "repository");
  if (fault !== null) {
    return { fault };
  }
  if (/\{(?:tag|digest|short|platform)\}/.test(repository)) {
    return { fault: `has a name of a single image, but is a repository; there are ${REPOSITORY_PLACES}` };
  }
  return { host: sample.host, repository };
}

/** Whether sources of different repositories end up in different ones. */
export function dependsOnRepository({ repository }: TargetTemplate): boolean {
  return /\{(?:repository|name)\}/.test(repository);
}

/**
 * The target repository for a source repository.
 * @throws CopyError `invalid_request` when what comes out is no repository, such as one that is too long.
 */
export function fillTarget(template: TargetTemplate, source: Pick<Reference, "host" | "repository">, nowMs: number) {
  const { host, repository } = source;
  const filled = fillTemplate(template.repository, "repository", { host, repository, now: nowMs }, "target");
  const { host: targetHost, repository: targetRepository } = parseName(`${template.host}/${filled}`, "target");
  return { host: targetHost, repository: targetRepository };
}

/** A pattern that has every repository in it that the template can give. */
export function targetPattern({ host, repository }: TargetTemplate): Pattern {
  const elements = repository.split("/").flatMap((element) => {
    // Also with something beside it: what comes out may have one element as well as several.
    if (element.includes("{repository}")) {
      return ["**"];
    }
    return [element.replaceAll(PLACE, "*").replaceAll(/\*+/g, "*")];
  });
  const pattern = readPattern([host, ...elements].join("/"));
  return "fault" in pattern ? { elements: ["**"], tag: null } : pattern;
}

/** References in files of copies, and how other tools' names become references here. Pure. */
import { CopyError } from "../../registry/errors.ts";
import { formatReference, parseName, withDefaultTag, type Reference } from "../../registry/reference.ts";

/** A reference, or why it is none. */
export function nameOf(text: string, field: string): { name: Reference; fault: null } | { name: null; fault: string } {
  try {
    return { name: parseName(text, field), fault: null };
  } catch (error) {
    if (error instanceof CopyError) {
      return { name: null, fault: error.detail.message };
    }
    throw error;
  }
}

/** Whether a source is a repository, with neither tag nor digest. What is no reference is none. */
export function isRepository(source: string): boolean {
  const { name } = nameOf(source, "source");
  return name !== null && name.tag === undefined && name.digest === undefined;
}

/** As most tools read a name: without tag and digest it is `latest`. */
export function imageText(name: Reference): string {
  return formatReference(withDefaultTag(name));
}

export function repositoryText({ host, repository }: Reference): string {
  return formatReference({ host, repository });
}

/** An expression that other tools look for anywhere in a tag, as one for the whole tag. */
export function anywhere(expression: string): string {
  // Between anchors it speaks of the whole tag already, unless it is one of several alternatives.
  return /^\^[^|]*\$$/.test(expression) ? expression : `.*(?:${expression}).*`;
}

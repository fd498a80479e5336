/**
 * Names with places to fill in: `{tag}-{date}` for a tag, `mirror/{repository}` for a repository. Tags and repositories never
 * have braces, so there is nothing to escape. Pure.
 */
import { CopyError } from "../registry/errors.ts";
import { fallbackTagOf } from "../registry/fallback-tag.ts";
import { describeRepositoryFault, describeTagFault } from "../registry/reference.ts";
import { matcherOf } from "./tag-expression.ts";

/** What the places stand for: one image at its source. */
export interface TemplateValues {
  /** Registry host of the source. */
  host: string;
  repository: string;
  tag?: string;
  digest?: string;
  /** `os/architecture[/variant]`, where a copy takes a single one. */
  platform?: string;
  /** Milliseconds since the epoch. */
  now: number;
}

export type TemplateKind = "tag" | "repository";

/** Twelve hexadecimal digits tell any two images of a repository apart, and are what docker shows. */
const SHORT_DIGEST_CHARACTERS = 12;

/** Far more than 128 or 255 characters of result can need. */
const MAX_TEMPLATE_CHARACTERS = 512;

/** Undefined: there is no such thing here. */
const PLACES: Readonly<Record<string, (values: TemplateValues) => string | undefined>> = {
  tag: ({ tag }) => tag,
  repository: ({ repository }) => repository,
  name: ({ repository }) => repository.slice(repository.lastIndexOf("/") + 1),
  host: ({ host }) => host.replace(/[^A-Za-z0-9.]+/g, "-").replace(/^-|-$/g, ""),
  digest: ({ digest }) => (digest === undefined ? undefined : fallbackTagOf(digest)),
  short: ({ digest }) => digest?.slice(digest.indexOf(":") + 1).slice(0, SHORT_DIGEST_CHARACTERS),
  platform: ({ platform }) => platform?.replaceAll("/", "-"),
  date: ({ now }) => new Date(now).toISOString().slice(0, 10),
  time: ({ now }) => new Date(now).toISOString().slice(11, 19).replaceAll(":", ""),
};

/** Every name that may stand in braces. */
export const TEMPLATE_NAMES: readonly string[] = Object.keys(PLACES);

/** What a place may have become, where its value is not at hand. */
const SHAPES: Readonly<Record<string, string>> = {
  digest: "sha(?:256|384|512)-[0-9a-f]{64}",
  short: `[0-9a-f]{${SHORT_DIGEST_CHARACTERS}}`,
  date: "\\d{4}-\\d{2}-\\d{2}",
  time: "\\d{6}",
};

/** What the text between the places may consist of. */
const LITERAL: Readonly<Record<TemplateKind, RegExp>> = {
  tag: /^[A-Za-z0-9._-]*$/,
  repository: /^[a-z0-9._/-]*$/,
};

/** What is wrong with a template, as the end of a sentence that begins with it; null: nothing, as far as can be told before it is filled in. */
export function describeTemplateFault(template: string, kind: TemplateKind): string | null {
  if (template === "") {
    return "is empty";
  }
  if (template.length > MAX_TEMPLATE_CHARACTERS) {
    return `has ${template.length} characters; at most ${MAX_TEMPLATE_CHARACTERS} are allowed`;
  }
  for (const { literal, name } of partsOf(template)) {
    if (name !== null && !Object.hasOwn(PLACES, name)) {
      return `has {${name}}, which is not known; there are ${TEMPLATE_NAMES.map((known) => `{${known}}`).join(", ")}`;
    }
    if (/[{}]/.test(literal)) {
      return "has a brace without its other; names stand in braces, such as {tag}";
    }
    if (!LITERAL[kind].test(literal)) {
      return `has characters that a ${kind} cannot have in ${JSON.stringify(literal)}`;
    }
  }
  return null;
}

/** Whether the result differs from tag to tag, so that the tags of a repository do not end up under one name. */
export function dependsOnTag(template: string): boolean {
  return partsOf(template).some(({ name }) => name === "tag" || name === "digest" || name === "short");
}

/** Whether the result is known only when the image's digest is. */
export function namesDigest(template: string): boolean {
  return partsOf(template).some(({ name }) => name === "digest" || name === "short");
}

/**
 * Fills in a template for a tag or a repository. `field` names the input, for the error.
 * @throws CopyError `invalid_request` when the template is faulty, has a place without a value here, or its result is no
 * valid tag or repository.
 */
export function fillTemplate(template: string, kind: TemplateKind, values: TemplateValues, field: string): string {
  const fail = (problem: string): never => {
    throw new CopyError({
      code: "invalid_request",
      side: "request",
      host: "",
      operation: "fill in template",
      retryable: false,
      message: `${field} ${JSON.stringify(template)} ${problem}`,
    });
  };
  const fault = describeTemplateFault(template, kind);
  if (fault !== null) {
    return fail(fault);
  }
  const result = partsOf(template)
    .map(({ literal, name }) => literal + (name === null ? "" : (PLACES[name]?.(values) ?? fail(missing(name)))))
    .join("");
  const wrong = kind === "tag" ? describeTagFault(result) : describeRepositoryFault(result);
  return wrong === null ? result : fail(`gives ${JSON.stringify(result)}: ${wrong}`);
}

/** Whether a tag may be what the template has given for some tag of a repository, at whatever time. */
export function mayBeFrom(
  template: string,
  values: Pick<TemplateValues, "host" | "repository">,
): (tag: string) => boolean {
  const known = { ...values, now: 0 };
  const pattern = partsOf(template).map(({ literal, name }) => {
    const text = name === null || Object.hasOwn(SHAPES, name) ? undefined : PLACES[name]?.(known);
    const place = name === null ? "" : (text?.replaceAll(".", "\\.") ?? SHAPES[name] ?? "[A-Za-z0-9._-]+");
    return literal.replaceAll(".", "\\.") + place;
  });
  return matcherOf([pattern.join("")]);
}

function missing(name: string): string {
  return name === "platform"
    ? "has {platform}, but not a single platform is asked for"
    : `has {${name}}, but there is none here`;
}

/** The text split at its places: each part is a literal and the name that follows it, null after the last. */
function partsOf(template: string): { literal: string; name: string | null }[] {
  const pieces = template.split(/\{([^{}]*)\}/);
  const parts: { literal: string; name: string | null }[] = [];
  for (let at = 0; at < pieces.length; at += 2) {
    parts.push({ literal: pieces[at] ?? "", name: pieces[at + 1] ?? null });
  }
  return parts;
}

/**
 * Go templates as files of regsync have them: fields (`{{ .Ref.Tag }}`), texts, pipes, and the functions env, file, lower,
 * upper, default and time.Now.Format. Nothing with a flow of its own: what is not known is said, and never left out. Pure but
 * for what it is given.
 */
import type { ReadingOptions } from "./contract.ts";
import { goTime, unknownTimePart } from "./go-time.ts";

/** Fields by their whole path: `Ref.Tag`. */
export type TemplateFields = Readonly<Record<string, string>>;

type World = Pick<ReadingOptions, "env" | "nowMs" | "readFile">;

const ACTION = /\{\{(- )?((?:"(?:[^"\\]|\\.)*"|`[^`]*`|[^"`}]|\}(?!\}))*)\}\}/g;

const WORDS = /\s*(?:("(?:[^"\\]|\\.)*")|`([^`]*)`|(\||[^\s|"`]+))/gy;

/** A word of an action, which is a text or a name. */
interface Word {
  text: string;
  literal: boolean;
}

class TemplateFault extends Error {}

/** The text filled in, or why it cannot be. */
export function filledIn(
  template: string,
  fields: TemplateFields,
  world: World,
): { text: string; fault: null } | { text: null; fault: string } {
  if (!template.includes("{{")) {
    return { text: template, fault: null };
  }
  try {
    return { text: fill(template, fields, world), fault: null };
  } catch (error) {
    if (error instanceof TemplateFault) {
      return { text: null, fault: error.message };
    }
    throw error;
  }
}

function fill(template: string, fields: TemplateFields, world: World): string {
  let result = "";
  let from = 0;
  let trims = false;
  const take = (literal: string): void => {
    if (literal.includes("{{")) {
      throw new TemplateFault("has {{ without its }}");
    }
    result += trims ? literal.trimStart() : literal;
  };
  for (const match of template.matchAll(ACTION)) {
    const [whole, trimsBefore, inside = ""] = match;
    take(template.slice(from, match.index));
    if (trimsBefore !== undefined) {
      result = result.trimEnd();
    }
    trims = inside.endsWith(" -");
    const action = trims ? inside.slice(0, -2) : inside;
    if (!/^\s*\/\*.*\*\/\s*$/s.test(action)) {
      result += evaluated(action, fields, world);
    }
    from = match.index + whole.length;
  }
  take(template.slice(from));
  return result;
}

function evaluated(action: string, fields: TemplateFields, world: World): string {
  const pipe = split(action);
  let value: string | undefined;
  for (const words of pipe) {
    value = call(words, value === undefined ? [] : [value], fields, world);
  }
  return value ?? "";
}

/** @param piped What the command before has given: its last argument. */
function call(words: Word[], piped: string[], fields: TemplateFields, world: World): string {
  const [first, ...rest] = words;
  if (first === undefined) {
    throw new TemplateFault("has {{ }} or a pipe with nothing in it");
  }
  if (isValue(first)) {
    if (rest.length + piped.length > 0) {
      throw new TemplateFault(`gives ${first.text} something, but it takes nothing`);
    }
    return valueOf(first, fields);
  }
  const known = Object.hasOwn(FUNCTIONS, first.text) ? FUNCTIONS[first.text] : undefined;
  if (known === undefined) {
    const names = Object.keys(FUNCTIONS).join(", ");
    throw new TemplateFault(`has ${first.text}, which is not understood here; there are fields, and ${names}`);
  }
  const given = [...rest.map((word) => valueOf(word, fields)), ...piped];
  if (given.length !== known.takes) {
    throw new TemplateFault(`has ${first.text} with ${given.length} values; it takes ${known.takes}`);
  }
  return known.apply(given, world);
}

interface TemplateFunction {
  takes: number;
  /** @param given As many as it takes; what a pipe brings is the last. */
  apply: (given: readonly string[], world: World) => string;
}

const FUNCTIONS: Readonly<Record<string, TemplateFunction>> = {
  env: { takes: 1, apply: ([name = ""], { env }) => env[name] ?? "" },
  file: { takes: 1, apply: ([path = ""], world) => fileText(path, world) },
  lower: { takes: 1, apply: ([text = ""]) => text.toLowerCase() },
  upper: { takes: 1, apply: ([text = ""]) => text.toUpperCase() },
  default: { takes: 2, apply: ([instead = "", value = ""]) => (value === "" ? instead : value) },
  "time.Now.Format": { takes: 1, apply: ([layout = ""], { nowMs }) => timeText(layout, nowMs) },
};

function fileText(path: string, { readFile }: World): string {
  try {
    return readFile(path).trim();
  } catch {
    throw new TemplateFault(`names the file ${path}, which cannot be read`);
  }
}

function timeText(layout: string, nowMs: number): string {
  const part = unknownTimePart(layout);
  if (part !== null) {
    throw new TemplateFault(`has the layout ${layout}, of which ${part} is not understood here`);
  }
  return goTime(layout, nowMs);
}

function isValue(word: Word): boolean {
  return word.literal || word.text.startsWith(".");
}

function valueOf(word: Word, fields: TemplateFields): string {
  if (word.literal) {
    return word.text;
  }
  const value = fields[word.text.slice(1)];
  if (!word.text.startsWith(".") || value === undefined) {
    const known = Object.keys(fields).map((name) => `.${name}`);
    throw new TemplateFault(
      `has ${word.text}, which is not known here; there ${known.length === 0 ? "are no fields" : `are ${known.join(", ")}`}`,
    );
  }
  return value;
}

/** An action's commands, between pipes. */
function split(action: string): Word[][] {
  const commands: Word[][] = [[]];
  let end = 0;
  for (const match of action.matchAll(WORDS)) {
    end = match.index + match[0].length;
    const [, quoted, raw, name] = match;
    if (name === "|") {
      commands.push([]);
    } else {
      const word = name === undefined ? { text: raw ?? unquoted(quoted ?? ""), literal: true } : plain(name);
      commands.at(-1)?.push(word);
    }
  }
  if (action.slice(end).trim() !== "") {
    throw new TemplateFault(`has ${JSON.stringify(action.slice(end).trim())}, which is not understood here`);
  }
  return commands;
}

function plain(name: string): Word {
  return { text: name, literal: false };
}

/** Go's escapes that matter in names are JSON's. */
function unquoted(text: string): string {
  try {
    return String(JSON.parse(text));
  } catch {
    throw new TemplateFault(`has the text ${text}, whose escapes are not understood`);
  }
}

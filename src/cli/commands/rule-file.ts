/** The file of `drayage rules apply`: rules by name, in YAML or JSON. What a rule may say is the service's to judge. */
import { parse, YAMLParseError } from "yaml";
import { UsageError } from "../failure.ts";
import { nameOf, readInput } from "./input.ts";
import type { CommandIo } from "./io.ts";

const SHAPE = 'write "rules:" and below it each rule under its name';

/** @throws UsageError when the file cannot be read or is no file of rules. */
export async function readRuleFile(path: string, io: Pick<CommandIo, "stdin">): Promise<Map<string, object>> {
  return rulesIn(await readInput(path, io), nameOf(path));
}

/** @throws UsageError when it is no file of rules. */
export function rulesIn(text: string, path: string): Map<string, object> {
  let document: unknown;
  try {
    document = parse(text);
  } catch (error) {
    const words = error instanceof YAMLParseError ? error.message.split("\n", 1)[0] : String(error);
    throw new UsageError("FILE", `${path} is neither YAML nor JSON: ${words}`);
  }
  if (!isObject(document) || !("rules" in document)) {
    throw new UsageError("FILE", `${path} has no rules; ${SHAPE}`);
  }
  const others = Object.keys(document).filter((key) => key !== "rules");
  if (others.length > 0) {
    throw new UsageError("FILE", `${path} has ${others.join(", ")} beside "rules"; ${SHAPE}`);
  }
  const rules: unknown = document.rules ?? {};
  if (!isObject(rules)) {
    throw new UsageError("FILE", `${path}: "rules" is no table; ${SHAPE}`);
  }
  const wrong = Object.entries(rules).filter(([, rule]) => !isObject(rule));
  if (wrong.length > 0) {
    throw new UsageError("FILE", `${path}: ${wrong.map(([name]) => name).join(", ")} has no fields; ${SHAPE}`);
  }
  return new Map(Object.entries(rules).flatMap(([name, rule]) => (isObject(rule) ? [[name, rule] as const] : [])));
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

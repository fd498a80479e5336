/** `${NAME}` in the texts of the project's own format: values of the environment. Pure. */
import type { FileFault } from "./faults.ts";
import type { Path } from "./contract.ts";

/**
 * `${NAME}`, `${NAME:-instead}`, and `$${` for a `${` that is meant. Nothing else has a meaning: expressions are full of `$`.
 */
const PLACE = /\$\$\{|\$\{([A-Za-z_]\w*)(?::-([^}]*))?\}/g;

/** All texts below `value` with the environment filled in; keys stay as they are. What has no value goes into `faults`. */
export function interpolated(
  value: unknown,
  env: Readonly<Record<string, string | undefined>>,
  faults: FileFault[],
  path: Path = [],
): unknown {
  if (typeof value === "string") {
    return value.replaceAll(PLACE, (match: string, name: string | undefined, instead: string | undefined) => {
      if (name === undefined) {
        return "${";
      }
      const found = env[name] || instead;
      if (found === undefined) {
        faults.push({ path, message: `has ${match}, and ${name} is not set; set it, or write \${${name}:-default}` });
      }
      return found ?? "";
    });
  }
  if (Array.isArray(value)) {
    return value.map((item, index) => interpolated(item, env, faults, [...path, index]));
  }
  if (typeof value === "object" && value !== null) {
    const entries = Object.entries(value);
    return Object.fromEntries(entries.map(([key, each]) => [key, interpolated(each, env, faults, [...path, key])]));
  }
  return value;
}

/**
 * Finds fields in JSON that others wrote. Pointers as in RFC 6901. Senders and their versions spell one field
 * `image-tag`, `imageTag` and `image_tag`: a key that is not there is looked for without regard to case, hyphens and
 * underscores. Pure; never throws.
 */

/** Objects with more keys are no event; looking through them for a spelling would cost too much. */
const MAX_FOLDED_KEYS = 200;

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The value at the pointer, undefined where there is none. "" is the value itself. */
export function valueAt(value: unknown, pointer: string): unknown {
  if (pointer === "") {
    return value;
  }
  let found: unknown = value;
  for (const part of pointer.slice(1).split("/")) {
    found = child(found, part.replaceAll("~1", "/").replaceAll("~0", "~"));
  }
  return found;
}

/** The first of the pointers that leads to text (or a number), without white space around it; "" counts as nothing. */
export function textAt(value: unknown, ...pointers: readonly string[]): string | undefined {
  for (const pointer of pointers) {
    const text = asText(valueAt(value, pointer));
    if (text !== undefined) {
      return text;
    }
  }
  return undefined;
}

/** All texts at the pointer: one, or those of a list, or the keys of an object that maps names to something. */
export function textsAt(value: unknown, pointer: string): string[] {
  const found = valueAt(value, pointer);
  const all = Array.isArray(found) ? found : isObject(found) ? Object.keys(found) : [found];
  return all.map(asText).filter((text) => text !== undefined);
}

/** The list at the pointer, empty where there is none. */
export function listAt(value: unknown, pointer: string): unknown[] {
  const found = valueAt(value, pointer);
  return Array.isArray(found) ? found : [];
}

export function asText(value: unknown): string | undefined {
  const text = typeof value === "string" ? value.trim() : typeof value === "number" ? String(value) : "";
  return text === "" ? undefined : text;
}

/** The JSON in a text; undefined: it is none. */
export function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Why a text is no JSON pointer, as the end of a sentence; null: nothing is wrong. */
export function describePointerFault(pointer: string): string | null {
  if (pointer !== "" && !pointer.startsWith("/")) {
    return `must be a JSON pointer such as "/image/tag"; begin it with "/"`;
  }
  return /~(?![01])/.test(pointer) ? 'has a "~" that is not followed by 0 or 1 (RFC 6901)' : null;
}

function child(value: unknown, key: string): unknown {
  if (Array.isArray(value)) {
    return /^(?:0|[1-9][0-9]*)$/.test(key) ? value[Number(key)] : undefined;
  }
  if (!isObject(value)) {
    return undefined;
  }
  if (Object.hasOwn(value, key)) {
    return value[key];
  }
  const alike = spellingsOf(value).get(folded(key));
  return alike === undefined ? undefined : value[alike];
}

/** The keys of each object that was looked into, by their folded form: senders ask for many fields of one object. */
const spellings = new WeakMap<object, ReadonlyMap<string, string>>();

function spellingsOf(object: Record<string, unknown>): ReadonlyMap<string, string> {
  const known = spellings.get(object);
  if (known !== undefined) {
    return known;
  }
  const keys = Object.keys(object);
  // The first of two spellings counts.
  const map = new Map(keys.length > MAX_FOLDED_KEYS ? [] : keys.reverse().map((key) => [folded(key), key]));
  spellings.set(object, map);
  return map;
}

function folded(key: string): string {
  return key.replaceAll(/[-_]/g, "").toLowerCase();
}

/**
 * What a registry says for itself when it refuses something: the body of an error answer, made fit for a sentence.
 * Pure. Its words are shown to people, so they are short, on one line, and without anything secret.
 */

/** Enough for a registry's reason, short enough for one line of a log. */
const MAX_WORDS_CHARACTERS = 400;

export interface RegistryWords {
  /** First code of the error list, upper case; "" when there is none. */
  code: string;
  /** "" when the registry said nothing a person could use. */
  text: string;
}

/**
 * Reads the spec's `{errors: [{code, message, detail}]}`, OAuth2's and other JSON errors, and plain text.
 * @param secrets Taken out before anything is cut short, so that no part of one is left.
 */
export function wordsOf(body: string, secrets: readonly string[] = []): RegistryWords {
  const trimmed = body.trim();
  const tidy = (text: string): string => shortened(withoutQueries(redact(text, secrets)));
  const json = parseJson(trimmed);
  if (json === null) {
    return { code: "", text: trimmed.startsWith("<") ? "" : tidy(trimmed) };
  }
  const errors = json["errors"];
  const list = Array.isArray(errors) ? errors.filter(isRecord) : [];
  const code = list.map((each) => textOf(each["code"])).find((each) => each !== "") ?? "";
  if (list.length > 0) {
    return { code: code.toUpperCase(), text: tidy(list.map(sentenceOf).filter(Boolean).join("; ")) };
  }
  const said = ["error_description", "details", "detail", "message", "error"].map((name) => textOf(json[name]));
  return { code: "", text: tidy(said.find((each) => each !== "") ?? "") };
}

/** The text with every occurrence of the secrets taken out, also where they stand as an address or a form writes them. */
export function redact(text: string, secrets: readonly string[]): string {
  const spellings = secrets
    .filter((each) => each.length > 3)
    .flatMap((each) => [
      each,
      encodeURIComponent(each),
      new URLSearchParams({ v: each }).toString().slice("v=".length),
    ]);
  return spellings.reduce((left, each) => left.replaceAll(each, "[secret]"), text);
}

/** Addresses and paths without their queries, which may be signatures of stores or the state of an upload. */
function withoutQueries(text: string): string {
  return text.replaceAll(/([^\s?"'<>]*\/[^\s?"'<>]*)\?[^\s"'<>]+/g, "$1?…");
}

function sentenceOf(error: Record<string, unknown>): string {
  const message = textOf(error["message"]);
  const detail = textOf(error["detail"]);
  const code = textOf(error["code"]);
  return (
    [message || code, detail === message ? "" : detail].filter(Boolean).join(" (") +
    (message && detail && detail !== message ? ")" : "")
  );
}

function shortened(text: string): string {
  const line = text.replace(/[\s\p{Cc}]+/gu, " ").trim();
  return line.length > MAX_WORDS_CHARACTERS ? `${line.slice(0, MAX_WORDS_CHARACTERS)}…` : line;
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function parseJson(text: string): Record<string, unknown> | null {
  if (!text.startsWith("{")) {
    return null;
  }
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) ? value : null;
  } catch {
    return null;
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

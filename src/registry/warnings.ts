/** `Warning` headers of registries (distribution-spec, "Warnings"): only code 299 with agent `-` is meant for people. */

/** Distribution-spec: no text is longer; what is longer is cut. */
const MAX_WARNING_CHARACTERS = 4096;

/** The texts of all warnings with code 299 in the header; several may be joined by commas. */
export function warningTexts(header: string | null): string[] {
  const texts: string[] = [];
  for (const match of (header ?? "").matchAll(/(?:^|,)\s*299\s+-\s+"((?:[^"\\]|\\.)*)"/g)) {
    const text = (match[1] ?? "")
      .replace(/\\(.)/g, "$1")
      .replace(/\p{Cc}+/gu, " ")
      .trim();
    if (text !== "") {
      texts.push(text.slice(0, MAX_WARNING_CHARACTERS));
    }
  }
  return texts;
}

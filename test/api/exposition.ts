/** Reads the text format of Prometheus as a scraper would, and refuses what none would take (exposition format 0.0.4). */

export interface Scraped {
  name: string;
  labels: Record<string, string>;
  value: number;
  type: string;
}

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const LINE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/;
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)/gy;
const SUFFIXES: Readonly<Record<string, readonly string[]>> = { histogram: ["_bucket", "_sum", "_count"] };

/** @throws Error that names the line which is no sample, comes before its type, or repeats another. */
export function scrape(text: string): Scraped[] {
  if (!text.endsWith("\n")) {
    throw new Error("the last line does not end");
  }
  const types = new Map<string, string>();
  const seen = new Set<string>();
  let current = "";
  return text
    .slice(0, -1)
    .split("\n")
    .flatMap((line): Scraped[] => {
      const [, keyword, name = "", rest = ""] = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line) ?? [];
      if (keyword !== undefined) {
        if (!NAME.test(name) || (keyword === "TYPE" && types.has(name))) {
          throw new Error(`not a new metric: ${line}`);
        }
        if (keyword === "TYPE") {
          types.set(name, rest);
          current = name;
        }
        return [];
      }
      const [, sample = "", labelText = "", valueText = ""] = LINE.exec(line) ?? [];
      const type = types.get(current) ?? "";
      const names = (SUFFIXES[type] ?? [""]).map((suffix) => current + suffix);
      const value = Number(valueText === "+Inf" ? Infinity : valueText);
      if (!names.includes(sample) || Number.isNaN(value) || seen.has(`${sample}{${labelText}`)) {
        throw new Error(`not a sample of ${current}: ${line}`);
      }
      seen.add(`${sample}{${labelText}`);
      return [{ name: sample, labels: labelsOf(labelText, line), value, type }];
    });
}

function labelsOf(text: string, line: string): Record<string, string> {
  const labels: Record<string, string> = {};
  let read = 0;
  for (const [whole, name = "", value = ""] of text.matchAll(LABEL)) {
    labels[name] = value.replaceAll(/\\(.)/g, (_, escaped: string) => (escaped === "n" ? "\n" : escaped));
    read += whole.length;
  }
  if (read !== text.length) {
    throw new Error(`labels that cannot be read: ${line}`);
  }
  return labels;
}

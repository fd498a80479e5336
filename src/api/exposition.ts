/** Figures in the text format that Prometheus reads (exposition format 0.0.4). Pure. */

export const EXPOSITION_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** One figure and what it is of. */
export interface Sample {
  labels: Readonly<Record<string, string>>;
  value: number;
}

export interface Family {
  name: `drayage_${string}`;
  type: "counter" | "gauge";
  help: string;
  samples: readonly Sample[];
}

/** `counts`: how many fell into each bound and no smaller one, the last above them all. */
export interface Histogram {
  name: `drayage_${string}`;
  type: "histogram";
  help: string;
  bounds: readonly number[];
  counts: readonly number[];
  sum: number;
}

/** The whole text. Families without a sample are left out. */
export function exposition(families: readonly (Family | Histogram)[]): string {
  return families
    .filter((family) => family.type === "histogram" || family.samples.length > 0)
    .map((family) => {
      const head = `# HELP ${family.name} ${escaped(family.help)}\n# TYPE ${family.name} ${family.type}\n`;
      const lines = family.type === "histogram" ? histogramLines(family) : family.samples.map(lineOf(family.name));
      return head + lines.join("");
    })
    .join("");
}

function histogramLines({ name, bounds, counts, sum }: Histogram): string[] {
  let total = 0;
  const buckets = [...bounds, Infinity].map((bound, index) => {
    total += counts[index] ?? 0;
    const le = bound === Infinity ? "+Inf" : String(bound);
    return lineOf(`${name}_bucket`)({ labels: { le }, value: total });
  });
  return [
    ...buckets,
    lineOf(`${name}_sum`)({ labels: {}, value: sum }),
    lineOf(`${name}_count`)({ labels: {}, value: total }),
  ];
}

function lineOf(name: string): (sample: Sample) => string {
  return ({ labels, value }) => {
    const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escaped(text).replaceAll('"', '\\"')}"`);
    return `${name}${pairs.length === 0 ? "" : `{${pairs.join(",")}}`} ${value}\n`;
  };
}

function escaped(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}

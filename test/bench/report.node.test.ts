/** The bench's arithmetic: medians, ratios to the limit, and whose figures count. */
import { expect, it } from "vitest";
import { afterFirst, median, summarize, table, type Run } from "../../bench/report.ts";

function run(tool: string, wall: number, more: Partial<Run> = {}): Run {
  const a = { reqSrc: 5, reqDst: 9, firstBlobGetMs: 20 };
  return { net: "loop", case: "small", tool, ok: true, wall, cpu: 1, peakBytes: 50_000_000, a, ...more };
}

it.each([
  [[3, 1, 2], 2],
  [[4, 1, 3, 2], 2.5],
  [[7], 7],
])("the median of %j is %d", (values, expected) => {
  expect(median(values)).toBe(expected);
});

it("gives ratios to the limit of the same network and set, not of another", () => {
  const rows = summarize([
    run("limit", 2),
    run("skopeo", 5),
    run("limit", 10, { net: "80:200:50" }),
    run("skopeo", 11, { net: "80:200:50" }),
  ]);
  const ratios = rows.filter(({ tool }) => tool === "skopeo").map(({ ratio }) => ratio?.wall);
  expect(ratios).toEqual([2.5, 1.1]);
});

it("gives no ratio where the limit was not measured", () => {
  expect(summarize([run("skopeo", 5)])[0]?.ratio).toBeNull();
});

it("counts the service's CPU where the service did the work, and only there", () => {
  const watch = { cpu: 3 };
  const rows = summarize([run("service", 1, { watch }), run("embedded", 1, { watch })]);
  expect(rows.map(({ cpuS }) => cpuS)).toEqual([4, 1]);
});

it("shows how many of the copies were whole", () => {
  const text = table(summarize([run("service", 1), run("service", 2, { ok: false })]));
  expect(text.trimEnd().split("\n").at(-1)).toMatch(/\| 1\/2 \|$/);
});

it("has no first blob where none was asked for", () => {
  const a = { reqSrc: 1, reqDst: 1, firstBlobGetMs: null };
  expect(summarize([run("service", 0.1, { a })])[0]?.firstBlobMs).toBeNull();
});

it("leaves the first run of each tool on each set out, whatever came between", () => {
  const small = [run("service", 9), run("limit", 8), run("service", 1), run("limit", 2)];
  const large = [run("service", 7, { case: "multi" }), run("service", 3, { case: "multi" })];
  expect(afterFirst([...small, ...large]).map(({ wall }) => wall)).toEqual([1, 2, 3]);
});

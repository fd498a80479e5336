import { describe, expect, test } from "vitest";
import type { CopyState } from "../../src/job/contract.ts";
import { copyIn, groupedCopy, groupView, stateOf } from "../../src/job/group/view.ts";
import type { ErrorDetail } from "../../src/registry/errors.ts";
import { SUCCEEDED, view } from "../cli/views.ts";

const FACTS = { id: "cg_1", sourceRequests: 4, acceptedMs: 0, doneMs: null, warnings: ["of the group"] };
const DENIED: ErrorDetail = {
  code: "denied",
  side: "target",
  host: "r.example",
  operation: "upload blob",
  retryable: false,
  message: "r.example said no.",
};

test.each<[CopyState, CopyState[]]>([
  ["accepted", ["accepted", "accepted"]],
  ["running", ["accepted", "running"]],
  ["running", ["succeeded", "accepted"]],
  ["running", ["failed", "running"]],
  ["running", ["cancelled", "running"]],
  ["succeeded", ["succeeded", "succeeded"]],
  ["failed", ["succeeded", "failed", "cancelled"]],
  ["cancelled", ["succeeded", "cancelled"]],
])("a group is %s when its copies are %j", (state, states) => {
  expect(stateOf(states)).toBe(state);
});

describe("a group", () => {
  test("adds up its copies, and what was asked for all of them", () => {
    const other = view({
      ...SUCCEEDED,
      id: "cp_2",
      bytes: { all: 7, copied: 0, mounted: 7, present: 0 },
      requests: { source: 2, target: 3 },
      warnings: ["of the group", "of a copy"],
    });
    const group = groupView({ ...FACTS, doneMs: 5_000 }, [SUCCEEDED, other]);
    expect(group.bytes).toEqual({ all: 5_000_007, copied: 3_200_000, mounted: 800_007, present: 1_000_000 });
    expect(group.requests).toEqual({ source: 6, target: 3 });
    expect(group.tags.all).toBe(2);
    expect(group.warnings).toEqual(["of the group", "of a copy"]);
    expect(group.source).toEqual(SUCCEEDED.source);
    expect(group.times).toMatchObject({ acceptedAt: "1970-01-01T00:00:00.000Z", doneAt: "1970-01-01T00:00:05.000Z" });
  });

  test("says the first failure, how many there are, and nothing of it before all have ended", () => {
    const failed = view({ state: "failed", error: DENIED, target: { reference: "r.example/x:1", digest: null } });
    expect(groupView(FACTS, [SUCCEEDED, failed]).error).toEqual({
      ...DENIED,
      message: "1 of 2 copies failed, to r.example/x:1: r.example said no.",
    });
    expect(groupView(FACTS, [failed, failed, SUCCEEDED]).error?.message).toBe(
      "2 of 3 copies failed, the first of them, to r.example/x:1: r.example said no.",
    );
    expect(groupView(FACTS, [failed, view()]).error).toBeNull();
  });

  test("has its copies' own fields, and gives a copy back as it would show itself", () => {
    const group = groupView({ ...FACTS, warnings: [] }, [SUCCEEDED]);
    expect(group.copies).toEqual([groupedCopy(SUCCEEDED)]);
    expect(group.copies.map((copy) => copyIn(group, copy))).toEqual([{ ...SUCCEEDED, group: "cg_1" }]);
  });
});

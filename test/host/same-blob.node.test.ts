/** Many copies that need one blob in one repository. */
import { expect, test } from "vitest";
import { RecordedHost } from "./recorded-host.ts";

const COPIES = 20_000;

test("twenty thousand copies that wait for one blob all hear of its arrival", () => {
  const host = new RecordedHost();
  host.joinLane("lane", 1);
  for (let copy = 0; copy < COPIES; copy++) {
    host.offer("base", { job: `j${copy}` });
  }
  const [transfer] = host.transfers;
  if (transfer === undefined) {
    throw new Error("nothing was handed out");
  }
  host.report(transfer);
  expect(host.settled.map(({ outcome }) => outcome)).toEqual([
    "copied",
    ...Array.from({ length: COPIES - 1 }, () => "present"),
  ]);
});

/** Every end-to-end test runs under the limits of production: one that breaks any of them fails. */
import { afterAll, afterEach, expect, inject } from "vitest";
import { LimitWatch } from "./watch.ts";

const { command, processes } = inject("underLimits");

if (processes !== "") {
  process.env["DRAYAGE_COMMAND"] = command;
  const watch = new LimitWatch(processes);
  // What ran before this file is not its fault.
  watch.take();
  afterEach(() => {
    expect(watch.take(), "limits of production that this test broke").toEqual([]);
  });
  afterAll(() => watch[Symbol.dispose]());
}

import { afterEach, expect, test, vi } from "vitest";
import { setLogLevel, writeLine } from "../../src/log.ts";

afterEach(() => {
  setLogLevel("info");
  vi.restoreAllMocks();
});

test("what went wrong is written at every level, the rest only where it is asked for", () => {
  const info = vi.spyOn(console, "log").mockReturnValue();
  const errors = vi.spyOn(console, "error").mockReturnValue();
  writeLine({ msg: "request" });
  setLogLevel("error");
  writeLine({ msg: "request" });
  writeLine({ msg: "failed" }, "error");
  expect(info.mock.calls).toEqual([['{"msg":"request"}']]);
  expect(errors.mock.calls).toEqual([['{"msg":"failed"}']]);
});

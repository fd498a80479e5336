/** Where the command's output goes to, and what becomes of its exit status when it cannot go there. */
import { spawnSync } from "node:child_process";
import { closeSync, existsSync, openSync } from "node:fs";
import { expect, it } from "vitest";

const COMMAND = process.env["DRAYAGE_COMMAND"] ?? "dist/drayage.mjs";
const FULL = "/dev/full";

it.skipIf(!existsSync(FULL))("a result that a full disk does not take is a failure, told without a stack trace", () => {
  const full = openSync(FULL, "w");
  const { status, stderr } = spawnSync(process.execPath, [COMMAND, "token"], {
    stdio: ["ignore", full, "pipe"],
    encoding: "utf8",
  });
  closeSync(full);
  expect({ status, stderr }).toEqual({ status: 1, stderr: "drayage: Standard output cannot be written (ENOSPC).\n" });
});

it("a reader that has gone is no failure", () => {
  const script = `"$0" "$1" --help | true; echo "\${PIPESTATUS[0]}"`;
  const { stdout, stderr } = spawnSync("bash", ["-c", script, process.execPath, COMMAND], { encoding: "utf8" });
  expect({ stdout, stderr }).toEqual({ stdout: "0\n", stderr: "" });
});

/** The command's entry: hands the process's own streams and signals to the program and ends with its status. */
import { run } from "./program.ts";

const io = {
  env: process.env,
  // Opened only by who reads it.
  get stdin() {
    return process.stdin;
  },
  stdout: process.stdout,
  stderr: process.stderr,
  signals: process,
};

// A reader that has gone (`drayage … | head`) is no reason for a stack trace, but a result that is lost on a full disk is
// a failure. What is lost of the progress is none.
let isLost = false;
process.stderr.on("error", () => undefined);
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE" && !isLost) {
    isLost = true;
    process.stderr.write(`drayage: Standard output cannot be written (${error.code}).\n`);
  }
});

try {
  process.exitCode = await run(process.argv.slice(2), io);
} catch (error) {
  process.stderr.write(`drayage: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
// Streams tell of their errors a turn later.
await new Promise((resolve) => setImmediate(resolve));
if (isLost && process.exitCode === 0) {
  process.exitCode = 1;
}
// Not left to the event loop: a connection kept alive would hold the command for seconds.
process.exit();

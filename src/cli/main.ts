/** The command's entry: hands the process's own streams and signals to the program and ends with its status. */
import { run } from "./program.ts";

const io = { env: process.env, stdout: process.stdout, stderr: process.stderr, signals: process };

// A reader that has gone (`drayage … | head`) is no reason for a stack trace.
for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", () => undefined);
}

try {
  process.exitCode = await run(process.argv.slice(2), io);
} catch (error) {
  process.stderr.write(`drayage: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
// Not left to the event loop: a connection kept alive would hold the command for seconds.
process.exit();

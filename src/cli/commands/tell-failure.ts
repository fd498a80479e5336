/** How a command that failed says so. */
import { ServiceError } from "../client.ts";
import { problemText } from "../display/problem-text.ts";
import { EXIT_FAILED, EXIT_WRONG_USE, UsageError, exitStatusOf, problemOfFailure } from "../failure.ts";
import { Interrupted } from "./interruption.ts";
import { SIGNAL_STATUS, type CommandIo } from "./io.ts";

/** Says what went wrong, in words or as one JSON object; answers with the exit status. */
export function tellFailure(error: unknown, options: { json?: true }, io: CommandIo): number {
  if (error instanceof Interrupted) {
    io.stderr.write(options.json === true ? "" : "Interrupted.\n");
    if (options.json === true) {
      io.stdout.write(`${JSON.stringify(problemOfFailure(error))}\n`);
    }
    return SIGNAL_STATUS[error.signal];
  }
  const problem = error instanceof ServiceError ? error.problem : problemOfFailure(error);
  if (options.json === true) {
    io.stdout.write(`${JSON.stringify(problem)}\n`);
  } else {
    io.stderr.write(`drayage: ${error instanceof ServiceError ? problemText(problem) : problem.detail}\n`);
  }
  if (error instanceof ServiceError) {
    return exitStatusOf(problem);
  }
  return error instanceof UsageError ? EXIT_WRONG_USE : EXIT_FAILED;
}

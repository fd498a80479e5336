/** The ways in which a command ends other than well, and their exit statuses. */
import type { Problem } from "./client.ts";

export const EXIT_DONE = 0;
export const EXIT_FAILED = 1;
export const EXIT_WRONG_USE = 2;

/** The command was called wrongly: nothing was started. `field` is the option or argument at fault. */
export class UsageError extends Error {
  readonly field: string;

  constructor(field: string, message: string) {
    super(message);
    this.name = "UsageError";
    this.field = field;
  }
}

/** The service's name for settings that it does not take: the command's own, when it started the service. */
const CONFIGURATION_PROBLEM = "urn:drayage:problem:configuration";

/** What the shell is told of a service's refusal: whoever asked wrongly asks differently next time. */
export function exitStatusOf(problem: Problem): number {
  if (problem.type === CONFIGURATION_PROBLEM) {
    return EXIT_WRONG_USE;
  }
  const later = problem.status === 408 || problem.status === 429;
  return problem.status >= 400 && problem.status < 500 && !later ? EXIT_WRONG_USE : EXIT_FAILED;
}

/** Any failure in the form in which `--json` prints it. */
export function problemOfFailure(error: unknown): Problem {
  if (error instanceof UsageError) {
    const errors = [{ field: error.field, message: error.message }];
    return { type: "about:blank", title: "Wrong use", status: 400, detail: error.message, errors };
  }
  if (error instanceof DOMException && error.name === "TimeoutError") {
    return { type: "about:blank", title: "No answer", status: 0, detail: "The service did not answer in time." };
  }
  const detail = error instanceof Error ? error.message : String(error);
  return { type: "about:blank", title: "The command failed", status: 500, detail };
}

/** Why a transfer that could go on does not. */

/**
 * - `lost`: another lane may have the blob by now;
 * - `withdrawn`: nobody wants the blob any more;
 * - `time`: the lane's time is up.
 */
export type Why = "lost" | "withdrawn" | "time";

/** Thrown inside a transfer, and the reason of the signal that breaks it off. */
export class LetGo extends Error {
  readonly why: Why;

  constructor(why: Why, message: string) {
    super(message);
    this.name = "LetGo";
    this.why = why;
  }
}

/** Why a signal was aborted; whoever did it without saying why has taken the transfer away. */
export function whyOf(reason: unknown): Why {
  return reason instanceof LetGo ? reason.why : "lost";
}

/** What `drayage doctor` and `GET /v1/doctor` say: one finding for each thing that was looked at. Plain data. */

export const FINDING_STATES = ["ok", "warn", "fail"] as const;

export interface Finding {
  /** What was looked at, in a word or two. */
  name: string;
  /** `warn`: it works, but not for everything, or not as it should. `fail`: it does not work like this. */
  state: (typeof FINDING_STATES)[number];
  /** What was found. Never a secret. */
  message: string;
  /** What to do; null where nothing is to be done. */
  fix: string | null;
}

export interface Report {
  /** Of what was looked at; null: nothing that has one. */
  version: string | null;
  findings: Finding[];
}

export function ok(name: string, message: string): Finding {
  return { name, state: "ok", message, fix: null };
}

export function warn(name: string, message: string, fix: string): Finding {
  return { name, state: "warn", message, fix };
}

export function fail(name: string, message: string, fix: string): Finding {
  return { name, state: "fail", message, fix };
}

/** LOG_LEVEL: which lines are written to the log. Pure. */
import * as z from "zod";
import { checked, isGiven, type Reading } from "./checking.ts";

const LogLevel = z.enum(["info", "error"], '"info" (every request to a registry too) or "error" is needed');

export type LogLevel = z.infer<typeof LogLevel>;

const DEFAULT_LEVEL: LogLevel = "info";

/** Reads LOG_LEVEL. */
export function readLogLevel(given: unknown): Reading<LogLevel> {
  const complaints: string[] = [];
  const level = isGiven(given) ? checked(LogLevel, "LOG_LEVEL", given, complaints) : DEFAULT_LEVEL;
  return { value: level ?? DEFAULT_LEVEL, complaints };
}

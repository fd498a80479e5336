/** The one way to the service's log: structured lines, which Workers Logs (and `drayage --verbose`) take from the console. */
import type { LogLevel } from "./config/log-level.ts";

let least: LogLevel = "info";

/** What is written from now on in this isolate: a line for each request is worth its cost only where somebody reads it. */
export function setLogLevel(level: LogLevel): void {
  least = level;
}

/** Writes one line. What goes in must hold no secret: no header's value, no query, no credential. */
export function writeLine(line: object, level: "log" | "error" = "log"): void {
  if (level === "error" || least === "info") {
    console[level](JSON.stringify(line));
  }
}

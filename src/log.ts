/** The one way to the service's log: structured lines, which Workers Logs (and `drayage --verbose`) take from the console. */

/** Writes one line. What goes in must hold no secret: no header's value, no query, no credential. */
export function writeLine(line: object, level: "log" | "error" = "log"): void {
  console[level](JSON.stringify(line));
}

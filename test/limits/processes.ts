/**
 * The runtimes that a distribution under test has started: one folder each, named after process and moment of its start,
 * since a system gives the number of a dead process to another one before long. Linux only, as /proc is.
 */
import { readFileSync, readdirSync } from "node:fs";

/** Lines for a shell: `$runtime` becomes the folder's name for the shell itself, and for what it becomes by `exec`. */
export const NAME_IN_SHELL = `read -r stat < /proc/$$/stat
fields=(\${stat##*) })
runtime="$$-\${fields[19]}"`;

/** Field of /proc/PID/stat after the name in brackets: when the process started, in ticks since the system did. */
const START_FIELD = 19;

export interface Runtime {
  /** Of its folder. */
  name: string;
  pid: number;
  /** Of this very process; empty when it is dead, whoever has its number now. */
  stat: string[];
}

/** All that were ever started, dead or alive. @param folder `processes` of a distribution. */
export function runtimesIn(folder: string): Runtime[] {
  return readdirSync(folder).map((name) => {
    const [pid = "", start = ""] = name.split("-");
    const stat = statOf(pid);
    return { name, pid: Number(pid), stat: stat[START_FIELD] === start ? stat : [] };
  });
}

export function isAlive({ stat }: Runtime): boolean {
  // A zombie has ended, and waits for its parent to hear of it.
  return stat.length > 0 && stat[0] !== "Z";
}

function statOf(pid: string): string[] {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  } catch {
    return [];
  }
}

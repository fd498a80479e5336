/** What the broker under chaos did to messages, from the log that it left behind. */
import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";

/** Messages by what became of them: `twice`, `late`, `lost`, `of another version`. @param folder `processes` of a distribution. */
export async function messagesOf(folder: string): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const pid of await readdir(folder)) {
    const log = await readFile(join(folder, pid, "out"), "utf8").catch(() => "");
    for (const [, what = ""] of log.matchAll(/^\{"chaos":"message","message":"([^"]+)"\}$/gm)) {
      counts[what] = (counts[what] ?? 0) + 1;
    }
  }
  return counts;
}

/** What a service has written, as it lies on disk. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

/** All files below a folder, by path, as they lie on disk. */
export async function filesIn(folder: string): Promise<[string, Buffer][]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name));
  return Promise.all(files.map(async (path): Promise<[string, Buffer]> => [path, await readFile(path)]));
}

/** What the copies of one file do to one another at their targets. Pure. */
import type { Note, Path, PlannedCopy } from "./contract.ts";
import { pathText, type FileFault } from "./faults.ts";
import { nameOf, repositoryText } from "./names.ts";

/** Two sources under one name at the target: the later one wins, whichever that is. */
export function collisions(copies: readonly PlannedCopy[]): Note[] {
  const sources = new Map<string, { source: string; path: Path }>();
  const notes: Note[] = [];
  for (const { body, path } of copies) {
    const known = sources.get(body.target);
    if (known === undefined) {
      sources.set(body.target, { source: body.source, path });
    } else if (known.source !== body.source) {
      notes.push({ path, message: `${body.source} and ${known.source} both go to ${body.target}` });
    }
  }
  return notes;
}

/** Copies that remove from a repository what another copy of the file brings there. */
export function rivals(copies: readonly PlannedCopy[]): FileFault[] {
  const byRepository = new Map<string, PlannedCopy[]>();
  for (const copy of copies) {
    const repository = repositoryOf(copy.body.target);
    const known = byRepository.get(repository);
    if (known === undefined) {
      byRepository.set(repository, [copy]);
    } else {
      known.push(copy);
    }
  }
  return copies
    .filter(({ body }) => body.prune?.dry_run === false)
    .flatMap((copy) => {
      const { body, path } = copy;
      const other = byRepository.get(repositoryOf(body.target))?.find((each) => each !== copy);
      const message = `would remove what ${pathText(other?.path ?? [])} brings to ${body.target}; make one copy of them, or leave prune out`;
      return other === undefined ? [] : [{ path: [...path, "prune"], message }];
    });
}

/** What is no reference is told elsewhere. */
function repositoryOf(target: string): string {
  const { name } = nameOf(target, "target");
  return name === null ? target : repositoryText(name);
}

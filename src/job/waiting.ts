/** Waiting within an object: for some time, or for an end that may come before it. */

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Resolves when `end` does, whichever way, or after `ms`. */
export async function endOr(ms: number, end: Promise<unknown>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | null = null;
  const timeout = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([end.catch(() => {}), timeout]);
  clearTimeout(timer);
}

/** Waiting within an object: for some time, or for an end that may come before it. */

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Resolves when `end` does, whichever way, or after `ms`. */
export async function endOr(ms: number, end: Promise<unknown>): Promise<void> {
  const timeout = Promise.withResolvers<void>();
  const timer = setTimeout(timeout.resolve, ms);
  await Promise.race([end.catch(() => {}), timeout.promise]);
  clearTimeout(timer);
}

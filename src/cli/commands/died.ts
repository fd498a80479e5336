/** What becomes of a command whose service dies under it. */
import type { Service } from "./service.ts";

/** @throws Error once the service has died. */
export async function diedInMidCopy(service: Service): Promise<never> {
  const words = await service.died;
  throw new Error(`The local runtime (workerd) ended in mid-copy: ${words}`);
}

/**
 * Asks the target's RegistryHost to list a referrer where the registry keeps no lists itself. The call may break with the
 * object that is called; asking again changes nothing.
 */
import type { Env } from "../env.ts";
import type { ReferrerAddition } from "../host/contract.ts";
import { errorDetailOf } from "../registry/errors.ts";
import { sleep } from "./waiting.ts";

const TRIES = 5;
const FIRST_PAUSE_MS = 100;

/**
 * @param isOver Nobody waits for it any more.
 * @throws CopyError, side target, as {@link RegistryHostRpc.addReferrer}.
 */
export async function addReferrerAt(
  env: Env,
  host: string,
  addition: ReferrerAddition,
  isOver: () => boolean,
): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    try {
      await env.REGISTRIES.getByName(host).addReferrer(addition);
      return;
    } catch (error) {
      // A refusal is an answer; everything else means that the call broke.
      if (errorDetailOf(error).code !== "internal" || tries === TRIES || isOver()) {
        throw error;
      }
      await sleep(FIRST_PAUSE_MS * 2 ** tries);
    }
  }
}

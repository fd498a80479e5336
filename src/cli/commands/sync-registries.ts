/** Asks the service for the repositories of the registries that a file names as a whole, each registry once. */
import { ServiceError, type ServiceClient } from "../client.ts";
import type { PlannedRegistry } from "../sync-file/contract.ts";
import type { Listing } from "../sync-file/registry-copies.ts";
import { withSentence, type Explain } from "../unreached/explain.ts";
import { concernsAll } from "./sync-run.ts";

/** @throws ServiceError when the service cannot be asked for anything. A registry's refusal is its listing's. */
export async function listingsOf(
  client: ServiceClient,
  registries: readonly PlannedRegistry[],
  explain: Explain,
  giveUp: AbortSignal,
): Promise<Listing[]> {
  const asked = new Map<string, Promise<{ repositories: string[] } | { refusal: string }>>();
  return Promise.all(
    registries.map(async (entry) => {
      const answer = asked.get(entry.host) ?? listed(client, entry.host, explain, giveUp);
      asked.set(entry.host, answer);
      return { entry, ...(await answer) };
    }),
  );
}

async function listed(
  client: ServiceClient,
  host: string,
  explain: Explain,
  giveUp: AbortSignal,
): Promise<{ repositories: string[] } | { refusal: string }> {
  try {
    return { repositories: await client.repositories(host, giveUp) };
  } catch (error) {
    if (giveUp.aborted) {
      throw giveUp.reason;
    }
    if (!(error instanceof ServiceError) || concernsAll(error.problem)) {
      throw error;
    }
    const { detail, error: cause } = error.problem;
    const added = cause === undefined ? null : await explain(cause, giveUp);
    return { refusal: added === null ? detail : withSentence(detail, added).replace(/\.$/, "") };
  }
}

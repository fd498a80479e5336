/** What concerns the service as a whole (its figures, its receivers, its state of health) is not for keys with bounds. */
import type { Principal } from "../access/contract.ts";
import { widenings } from "../access/scopes.ts";
import { Problem } from "./problem.ts";

const EVERYTHING = { sources: ["**"], targets: ["**"], actions: [] };

/** @throws Problem 403 for somebody whose scopes do not cover every source and target. */
export function refuseBounded({ name, scopes }: Principal): void {
  if (widenings(scopes, EVERYTHING).length > 0) {
    throw new Problem(
      "forbidden",
      `${name} may not see this: it concerns all copies, so a key for it needs the source ** and the target **.`,
      { headers: { "www-authenticate": 'Bearer realm="drayage", error="insufficient_scope"' } },
    );
  }
}

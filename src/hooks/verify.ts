/**
 * Whether a delivery may be believed: everything that its hook demands must hold. Which sender it claims to be decides only
 * how the secret is proven, never whether.
 */
import type { Delivery, Hook, Sender } from "./contract.ts";
import { provesSecret, sameText } from "./secrets.ts";
import { checkToken, type KeySets } from "./token.ts";

/** `refused`: it is not from whom it says. `unavailable`: that cannot be told now, and the sender should try again. */
export type Verdict = { kind: "valid" } | { kind: "refused" | "unavailable"; reason: string };

/** @param sender Null where none is known: the secret may then be proven in any of the general ways. */
export async function verifyDelivery(
  hook: Hook,
  sender: Sender | null,
  delivery: Delivery,
  keySets: KeySets,
): Promise<Verdict> {
  const { headers = [], secrets = [], token } = hook;
  // Every check is made, whatever the ones before it said: the time taken tells nothing.
  const wrongHeaders: string[] = [];
  for (const { name, value } of headers) {
    if (!(await sameText(delivery.headers.get(name) ?? "", value)) || value === "") {
      wrongHeaders.push(name);
    }
  }
  const proofs: boolean[] = [];
  for (const secret of secrets) {
    proofs.push(
      sender?.verify === undefined ? await provesSecret(delivery, secret) : await sender.verify(delivery, secret),
    );
  }
  if (wrongHeaders.length > 0) {
    return { kind: "refused", reason: `its header ${wrongHeaders.join(", ")} is missing or not the configured one` };
  }
  if (secrets.length > 0 && !proofs.includes(true)) {
    return { kind: "refused", reason: "neither a signature nor a secret that it carries fits the hook's secret" };
  }
  return token === undefined
    ? { kind: "valid" }
    : checkToken(delivery.headers.get("authorization"), token, keySets, delivery.receivedAtMs);
}

/** How deliveries to a rule's address are read and checked. Secrets are named, never held. */
import type { Hook } from "../hooks/contract.ts";

export interface HookSettings extends Omit<Hook, "name" | "pathHash" | "secrets" | "headers"> {
  /** Names in HOOK_SECRETS: one of them must be proven. */
  secrets?: readonly string[];
  /** Headers that must carry the secret of that name. */
  headers?: readonly { name: string; secret: string }[];
}

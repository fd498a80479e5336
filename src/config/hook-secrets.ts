/** HOOK_SECRETS: the secrets that webhooks prove to know, by the names that rules use. Pure. Never repeats a value. */
import * as z from "zod";
import { checked, isGiven, parsed, type Reading } from "./checking.ts";

/** What a rule may call a secret. */
export const SECRET_NAME = /^[A-Za-z0-9._-]{1,64}$/;

const Secrets = z.record(
  z.string().regex(SECRET_NAME, "a name of 1 to 64 letters, digits, dots, hyphens and underscores is needed"),
  z.string("text is needed").min(1, "is empty"),
  'an object of secrets by name is needed, such as {"github": "..."}',
);

export function readHookSecrets(given: unknown): Reading<ReadonlyMap<string, string>> {
  const complaints: string[] = [];
  const secrets = isGiven(given) ? checked(Secrets, "HOOK_SECRETS", parsed(given), complaints) : {};
  return { value: new Map(Object.entries(secrets ?? {})), complaints };
}

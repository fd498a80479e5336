/**
 * Who may use the API: whoever sends a token whose SHA-256 is configured. The service knows hashes only, and compares them
 * in constant time, so neither its settings nor its timing give a token away.
 */
import { tokenHashes, type SettingsEnv } from "../config.ts";
import { Problem } from "./problem.ts";

/** A longer header can only be a mistake. */
const MAX_HEADER_CHARACTERS = 4096;

const CHALLENGE = { "www-authenticate": 'Bearer realm="drayage"' };

/**
 * Lets the request pass or throws.
 * @throws Problem 503 while no token is configured (an open service would copy for anyone), 401 without a valid token.
 */
export async function authenticate(request: Request, env: SettingsEnv): Promise<void> {
  const hashes = tokenHashes(env);
  if (hashes.length === 0) {
    throw new Problem(
      "not-set-up",
      "No API token is configured, so every request is refused. Run `drayage token`, put the sha256:… line it prints " +
        'into wrangler.toml under [vars] as TOKENS = ["sha256:…"] (or into .dev.vars for `wrangler dev`), and start or ' +
        "deploy the service again.",
    );
  }
  const header = request.headers.get("authorization") ?? "";
  const token = header.length > MAX_HEADER_CHARACTERS ? null : /^bearer +([^\s]+) *$/i.exec(header)?.[1];
  if (!token) {
    throw new Problem("unauthorized", "Send the header Authorization: Bearer TOKEN.", { headers: CHALLENGE });
  }
  const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(token));
  // No early end: the time taken must not tell which of the tokens came close.
  const matches = hashes.filter((known) => crypto.subtle.timingSafeEqual(known, hash));
  if (matches.length === 0) {
    throw new Problem("unauthorized", "This token is not known here; `drayage token` makes a new one.", {
      headers: { "www-authenticate": `${CHALLENGE["www-authenticate"]}, error="invalid_token"` },
    });
  }
}

/** Whether the Worker would take the settings of a configuration file: `serve` says so before it starts. */
import { workerVars } from "../embed/embed.ts";
import { SECRET_VARIABLES } from "../embed/config-text.ts";
import { UsageError } from "../failure.ts";
import type { FileSettings } from "../settings.ts";
import { errorDetailOf } from "../../registry/errors.ts";
import type { CommandIo } from "./io.ts";

/** The Worker's names of settings, at the beginning of a line; those of the file are the same in lower case. */
const NAME = /^(HOSTS|QUEUE_POLICY|MAX_WAIT_SECONDS|ALLOWED_REGISTRIES|OIDC|ACCESS|NOTIFICATIONS|RECORD_DAYS)(?=\W)/gm;

/** How a secret gets to a deployed Worker. */
const SECRET = /`wrangler secret put (\w+)`/g;

/** @throws UsageError that names every wrong field and what to write instead, one a line. */
export async function checkSettings(settings: FileSettings, env: CommandIo["env"]): Promise<void> {
  const vars = workerVars({ settings, tokenHashes: [], onLine: null });
  const secrets = Object.entries(SECRET_VARIABLES).map(([name, variable]) => [name, env[variable]]);
  // Loaded here: a single copy leaves this to the Worker.
  const { settingsOf } = await import("../../config.ts");
  try {
    settingsOf({ ...vars, ...Object.fromEntries(secrets) });
  } catch (error) {
    const words = errorDetailOf(error).message.replaceAll(NAME, (name) => name.toLowerCase());
    throw new UsageError("--config", words.replaceAll(SECRET, "the environment variable DRAYAGE_$1"));
  }
}

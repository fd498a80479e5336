/** Where `copy` finds its service: one started for this copy alone, or one that runs elsewhere. */
import { warmUp, type ServiceAddress } from "../client.ts";
import { userCredentials } from "../credentials/lookup.ts";
import { startEmbedded, type Embedded } from "../embed/embed.ts";
import { UsageError } from "../failure.ts";
import { defaultStateFolder, readCertificates, readSettings, withPlainHttp } from "../settings.ts";
import { noLocalSettings, type LocalSettings } from "../sync-file/contract.ts";
import { withLocalCredentials, withLocalHosts } from "../sync-file/local.ts";
import { findServe } from "../state-folder.ts";
import { newToken, tokenHash } from "../token.ts";
import { explainWith, lookWith, NO_EXPLANATION, NO_LOOK, type Explain, type LookAt } from "../unreached/explain.ts";
import { logLines, type CommandIo } from "./io.ts";

export interface ServiceOptions {
  server?: string;
  verbose?: true;
  plainHttp: string[];
  ca?: string;
  config?: string;
}

/** A service to ask for a copy. */
export interface Service {
  address: ServiceAddress;
  died: Promise<string>;
  settled: (limitMs: number) => Promise<void>;
  /** Why it could not reach a registry. */
  explain: Explain;
  /** Whether it cannot reach one now. */
  lookAt: LookAt;
  stop(): Promise<void>;
}

/**
 * Opens the service that `options` name.
 * @param local What a file of copies says of registries; a service elsewhere has its own.
 * @throws UsageError for options that do not go together or files that cannot be read; Error when workerd does not start.
 */
export async function openService(
  options: ServiceOptions,
  io: CommandIo,
  local: LocalSettings = noLocalSettings(),
): Promise<Service> {
  if (options.server === undefined) {
    return openEmbedded(options, io, local);
  }
  for (const [option, value] of Object.entries({ "--ca": options.ca, "--config": options.config })) {
    if (value !== undefined) {
      refuseWithServer(option);
    }
  }
  if (options.plainHttp.length > 0) {
    refuseWithServer("--plain-http");
  }
  return { address: await serverAddress(options.server, io), ...REMOTE };
}

/**
 * A service that runs elsewhere, with the token from the environment or that of a `drayage serve` of this user.
 * @throws UsageError when the text is no URL, or one with a password.
 */
export async function serverAddress(server: string, io: CommandIo): Promise<ServiceAddress> {
  const url = serverUrl(server);
  const token = tokenIn(io.env);
  const found = token === null ? await findServe(defaultStateFolder(io.env), url) : null;
  return found ?? { url: url.href, token };
}

/** The environment's token, without the line end that files of variables leave on it. @throws UsageError without the token. */
function tokenIn(env: CommandIo["env"]): string | null {
  const token = (env["DRAYAGE_TOKEN"] ?? "").trim();
  // Node's own refusal of such a header would quote it.
  if (!/^[\x21-\x7e]*$/.test(token)) {
    throw new UsageError("DRAYAGE_TOKEN", "DRAYAGE_TOKEN has characters in it that no token has, such as a line break");
  }
  return token === "" ? null : token;
}

/** A service elsewhere neither ends with the command nor waits for it. */
const REMOTE = {
  died: new Promise<string>(() => undefined),
  settled: () => Promise.resolve(),
  explain: NO_EXPLANATION,
  lookAt: NO_LOOK,
  stop: () => Promise.resolve(),
};

async function openEmbedded(options: ServiceOptions, io: CommandIo, local: LocalSettings): Promise<Service> {
  // Good for this run only, and known to this process only.
  const token = newToken();
  const settings = withLocalHosts(withPlainHttp(readSettings(options.config, io.env), options.plainHttp), local);
  const trustedCertificates = readCertificates(options.ca);
  const starting = startEmbedded({
    stateFolder: null,
    listen: "127.0.0.1:0",
    // A service that ends with its copy could not tell anybody of the end.
    settings: { ...settings, notifications: undefined },
    tokenHashes: [tokenHash(token)],
    trustedCertificates,
    credentials: withLocalCredentials(userCredentials(io.env), local),
    onLine: logLines(options.verbose, io),
  });
  warmUp();
  const embedded: Embedded = await starting;
  return {
    ...embedded,
    address: { url: `http://127.0.0.1:${embedded.port}/`, token },
    explain: explainWith(settings, trustedCertificates),
    lookAt: lookWith(settings, trustedCertificates),
  };
}

function refuseWithServer(option: string): never {
  throw new UsageError(
    option,
    `${option} belongs to a copy on this machine; the service at --server has its own settings`,
  );
}

function serverUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new UsageError("--server", `"${text}" is not a URL such as https://drayage.example.com`);
  }
  if (url.username !== "" || url.password !== "") {
    throw new UsageError("--server", "the URL must not hold a password; put the token into DRAYAGE_TOKEN");
  }
  if (/\/v1\/?$/.test(url.pathname)) {
    throw new UsageError("--server", `"${text}" is an address of the API; leave out /v1`);
  }
  if (!url.pathname.endsWith("/")) {
    url.pathname += "/";
  }
  return url;
}

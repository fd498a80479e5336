/**
 * The command's own settings: the configuration file and the options that say the same. What the Worker's settings hold is
 * handed to it as it is: it alone knows their fields and values, and refuses wrong ones.
 */
import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { TomlError, parse } from "smol-toml";
import { canonicalHost } from "../registry/reference.ts";
import { certificatesOf } from "./embed/config-text.ts";
import { UsageError } from "./failure.ts";

type Environment = Readonly<Record<string, string | undefined>>;

const SETTINGS: readonly string[] = [
  "hosts",
  "queue_policy",
  "max_wait_seconds",
  "allowed_registries",
  "oidc",
  "access",
  "notifications",
  "record_days",
];

/** Where the configuration file is looked for when no option names one. */
export function defaultConfigFile(env: Environment, home = homedir()): string {
  return join(env["XDG_CONFIG_HOME"] || join(home, ".config"), "drayage", "config.toml");
}

/** Where `serve` keeps its state when no option names a folder. */
export function defaultStateFolder(env: Environment, home = homedir()): string {
  return join(env["XDG_STATE_HOME"] || join(home, ".local", "state"), "drayage");
}

/** What a configuration file says, as the Worker's settings of the same names take it. */
export interface FileSettings {
  /** Keyed by registry host. */
  hosts: Record<string, unknown>;
  /** Which of the requests that wait for a registry goes next; undefined: not said. */
  queuePolicy?: unknown;
  /** Who has waited longer than this goes first; undefined: not said. */
  maxWaitSeconds?: unknown;
  /** Registry hosts that may be used, as patterns; undefined: every one. */
  allowedRegistries?: unknown;
  /** Issuers of tokens whom `serve` believes, and whom they admit; undefined: none. */
  oidc?: unknown;
  /** Cloudflare Access before `serve`; undefined: it is not. */
  access?: unknown;
  /** Who is told of the ends of copies; undefined: nobody. Their keys are in the environment. */
  notifications?: unknown;
  /** For how many days the record of a copy is kept; undefined: not said. */
  recordDays?: unknown;
}

/**
 * The settings of a configuration file; `file` undefined: the default one, which may be missing.
 * @throws UsageError that names the file, and the line where its syntax is wrong.
 */
export function readSettings(file: string | undefined, env: Environment, home = homedir()): FileSettings {
  const path = file ?? defaultConfigFile(env, home);
  const text = readOptional(path, "--config", file === undefined);
  if (text === null) {
    return { hosts: {} };
  }
  let settings: Record<string, unknown>;
  try {
    settings = parse(text);
  } catch (error) {
    if (!(error instanceof TomlError)) {
      throw error;
    }
    const [reason = "wrong syntax"] = error.message.replace(/^Invalid TOML document: /, "").split("\n");
    throw new UsageError("--config", `${path}, line ${error.line}, column ${error.column}: ${reason}`);
  }
  for (const key of Object.keys(settings)) {
    if (!SETTINGS.includes(key)) {
      throw new UsageError(
        "--config",
        `${path}: unknown setting "${key}"; there are queue_policy, max_wait_seconds, allowed_registries, oidc, access, notifications, record_days and, by host, [hosts."HOST"]`,
      );
    }
  }
  const { hosts = {}, queue_policy: queuePolicy, max_wait_seconds: maxWaitSeconds, oidc, access } = settings;
  const { notifications, record_days: recordDays } = settings;
  const { allowed_registries: allowedRegistries } = settings;
  if (!isTable(hosts)) {
    throw new UsageError("--config", `${path}: "hosts" must be a table: [hosts."registry.example.com"]`);
  }
  return { hosts, queuePolicy, maxWaitSeconds, allowedRegistries, oidc, access, notifications, recordDays };
}

/** Adds the hosts of `--plain-http` to the settings; it wins over the file. */
export function withPlainHttp(settings: FileSettings, plain: readonly string[]): FileSettings {
  const result = { ...settings.hosts };
  for (const name of plain) {
    if (!/^[A-Za-z0-9.-]+(:\d{1,5})?$|^\[[0-9A-Fa-f:.]+\](:\d{1,5})?$/.test(name)) {
      throw new UsageError(
        "--plain-http",
        `"${name}" is not a registry host; write HOST or HOST:PORT, as in references`,
      );
    }
    const host = canonicalHost(name);
    const known = result[host];
    result[host] = { ...(isTable(known) ? known : {}), tls: "disabled" };
  }
  return { ...settings, hosts: result };
}

/** The certificates of `--ca FILE`. @throws UsageError when there is none in it. */
export function readCertificates(file: string | undefined): string[] {
  if (file === undefined) {
    return [];
  }
  const certificates = certificatesOf(readOptional(file, "--ca", false) ?? "");
  if (certificates.length > 0) {
    return certificates;
  }
  throw new UsageError("--ca", `${file} holds no certificate in PEM ("-----BEGIN CERTIFICATE-----")`);
}

function readOptional(path: string, option: string, mayMiss: boolean): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "unknown error";
    if (mayMiss && (code === "ENOENT" || code === "ENOTDIR")) {
      return null;
    }
    throw new UsageError(option, `${path} cannot be read (${code})`);
  }
}

function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

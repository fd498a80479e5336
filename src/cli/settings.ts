/**
 * The command's own settings: the configuration file and the options that say the same. Host settings are handed to the
 * Worker as they are: it alone knows their fields and refuses unknown ones.
 */
import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { TomlError, parse } from "smol-toml";
import { canonicalHost } from "../registry/reference.ts";
import { certificatesOf } from "./embed/config-text.ts";
import { UsageError } from "./failure.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** Where the configuration file is looked for when no option names one. */
export function defaultConfigFile(env: Environment, home = homedir()): string {
  return join(env["XDG_CONFIG_HOME"] || join(home, ".config"), "drayage", "config.toml");
}

/** Where `serve` keeps its state when no option names a folder. */
export function defaultStateFolder(env: Environment, home = homedir()): string {
  return join(env["XDG_STATE_HOME"] || join(home, ".local", "state"), "drayage");
}

/**
 * The host settings of a configuration file, keyed by host; `file` undefined: the default one, which may be missing.
 * @throws UsageError that names the file, and the line where its syntax is wrong.
 */
export function readHosts(file: string | undefined, env: Environment, home = homedir()): Record<string, unknown> {
  const path = file ?? defaultConfigFile(env, home);
  const text = readOptional(path, "--config", file === undefined);
  if (text === null) {
    return {};
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
    if (key !== "hosts") {
      throw new UsageError("--config", `${path}: unknown setting "${key}"; host settings stand under [hosts."HOST"]`);
    }
  }
  const hosts = settings["hosts"] ?? {};
  if (!isTable(hosts)) {
    throw new UsageError("--config", `${path}: "hosts" must be a table: [hosts."registry.example.com"]`);
  }
  return hosts;
}

/** Adds the hosts of `--plain-http` to the settings; it wins over the file. */
export function withPlainHttp(hosts: Record<string, unknown>, plain: readonly string[]): Record<string, unknown> {
  const result = { ...hosts };
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
  return result;
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

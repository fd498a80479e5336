/**
 * Looks for why a host could not be reached: its name, a connection, a TLS handshake. The runtime tells the Worker of none of
 * these. It sends no credentials, and asks nothing of the registry but in which protocol it answers.
 */
import { lookup } from "node:dns/promises";
import { readdirSync, readFileSync } from "node:fs";
import { connect, isIP, type Socket } from "node:net";
import { delimiter, join } from "node:path";
import { connect as secure, rootCertificates, type TLSSocket } from "node:tls";
import { USER_AGENT } from "../../registry/user-agent.ts";
import type { Address, Certificate, Finding, Stage } from "./words.ts";

export interface LookOptions {
  /** In PEM; trusted beside those that browsers and this machine trust. */
  certificates: readonly string[];
  /** For the whole look. */
  limitMs: number;
  /** Ends it without a finding. */
  signal: AbortSignal;
}

/** A name may stand for many addresses; more than these are not tried. */
const MAX_ADDRESSES = 4;

/** Of the time, for a handshake; the rest is for seeing whether another protocol is spoken there. */
const HANDSHAKE_PART = 0.6;

/** Where distributions keep the certificates that the machine trusts. */
const SYSTEM_CERTIFICATES: readonly string[] = [
  "/etc/ssl/certs/ca-certificates.crt",
  "/etc/pki/tls/certs/ca-bundle.crt",
  "/etc/ssl/ca-bundle.pem",
  "/etc/ssl/cert.pem",
];

/** Null: nothing was found that would explain it. Never throws for what the host does. */
export async function look(address: Address, options: LookOptions): Promise<Finding | null> {
  const looking = new Look(address, options.certificates, options.limitMs);
  return looking.run(options.signal);
}

class Look {
  readonly #address: Address;
  readonly #certificates: readonly string[];
  readonly #limitMs: number;
  readonly #sockets: Socket[] = [];
  #stage: Stage = "lookup";

  constructor(address: Address, certificates: readonly string[], limitMs: number) {
    this.#address = address;
    this.#certificates = certificates;
    this.#limitMs = limitMs;
  }

  async run(signal: AbortSignal): Promise<Finding | null> {
    const ended = new AbortController();
    const late = new Promise<Finding | null>((resolve) => {
      const timer = setTimeout(
        () => resolve({ kind: "silent", stage: this.#stage, limitMs: this.#limitMs }),
        this.#limitMs,
      );
      ended.signal.addEventListener("abort", () => clearTimeout(timer));
      signal.addEventListener("abort", () => resolve(null), { signal: ended.signal });
    });
    try {
      return signal.aborted ? null : await Promise.race([late, this.#steps()]);
    } finally {
      ended.abort();
      for (const socket of this.#sockets) {
        socket.destroy();
      }
    }
  }

  async #steps(): Promise<Finding | null> {
    const { name, tls } = this.#address;
    let addresses: string[];
    try {
      const found = await lookup(name, { all: true });
      addresses = [...new Set(found.map(({ address }) => address))].slice(0, MAX_ADDRESSES);
    } catch (error) {
      const code = codeOf(error);
      return code === "ENOTFOUND" ? { kind: "unknown-name" } : { kind: "no-lookup", code };
    }
    this.#stage = "connect";
    const tried = await this.#firstOf(addresses);
    if (typeof tried === "object") {
      return tried;
    }
    this.#stage = "answer";
    return tls ? this.#secureSteps(tried) : this.#plainSteps(tried);
  }

  async #secureSteps(ip: string): Promise<Finding | null> {
    const result = await this.#handshake(ip);
    if (typeof result === "object") {
      return result;
    }
    if (result === "done") {
      return null;
    }
    if (await this.#answersPlainly(ip)) {
      return { kind: "plain" };
    }
    return result === "late" ? this.#untilLate() : { kind: "hung-up" };
  }

  async #plainSteps(ip: string): Promise<Finding | null> {
    const answer = await this.#firstLine(ip);
    if (answer !== null && STATUS_LINE.test(answer)) {
      return null;
    }
    const result = await this.#handshake(ip);
    return result === "failed" || result === "late" ? { kind: "hung-up" } : { kind: "secure" };
  }

  /** The address that takes a connection first. */
  async #firstOf(addresses: readonly string[]): Promise<string | Finding> {
    try {
      return await Promise.any(
        addresses.map(async (ip) => {
          (await this.#connected(ip)).destroy();
          return ip;
        }),
      );
    } catch (error) {
      const codes = error instanceof AggregateError ? error.errors.map(codeOf) : [codeOf(error)];
      const refused = addresses.filter((_, index) => codes[index] === "ECONNREFUSED");
      return refused.length > 0
        ? { kind: "refused", addresses: refused }
        : { kind: "no-way", code: codes[0] ?? "no address", addresses };
    }
  }

  async #connected(ip: string): Promise<Socket> {
    const socket = connect({ host: ip, port: this.#address.port });
    this.#sockets.push(socket);
    return new Promise((resolve, reject) => {
      socket.once("connect", () => resolve(socket));
      // It stays: what becomes of the connection later is seen by who reads from it.
      socket.on("error", reject);
    });
  }

  /** A finding: the handshake would do but for the certificate. */
  async #handshake(ip: string): Promise<"done" | "failed" | "late" | Finding> {
    const { name, port } = this.#address;
    const ca = [...rootCertificates, ...systemCertificates(), ...this.#certificates];
    // The certificate is judged below, where what it says can be read; nothing is ever sent over this connection.
    const tls = secure({
      host: ip,
      port,
      ...(isIP(name) === 0 ? { servername: name } : {}),
      ca,
      ALPNProtocols: ["http/1.1"],
      rejectUnauthorized: false,
    });
    this.#sockets.push(tls);
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve("late"), this.#limitMs * HANDSHAKE_PART);
      const settle = (result: "done" | "failed" | Finding): void => {
        clearTimeout(timer);
        resolve(result);
      };
      tls.once("secureConnect", () => settle(tls.authorized ? "done" : certificateFinding(tls)));
      tls.on("error", () => settle("failed"));
      tls.once("close", () => settle("failed"));
    });
  }

  async #answersPlainly(ip: string): Promise<boolean> {
    const status = STATUS_LINE.exec((await this.#firstLine(ip)) ?? "")?.[1];
    // Servers of HTTPS say so, with this status, to whoever speaks plain HTTP to them.
    return status !== undefined && status !== "400";
  }

  /** What it answers to plain HTTP at first; null: it hung up. */
  async #firstLine(ip: string): Promise<string | null> {
    try {
      const socket = await this.#connected(ip);
      return await new Promise((resolve) => {
        socket.once("data", (bytes) => resolve(bytes.toString("latin1")));
        socket.once("close", () => resolve(null));
        socket.write(
          `HEAD /v2/ HTTP/1.1\r\nhost: ${this.#address.name}:${this.#address.port}\r\n` +
            `user-agent: ${USER_AGENT}\r\nconnection: close\r\n\r\n`,
        );
      });
    } catch {
      return null;
    }
  }

  /** The time limit has the answer. */
  #untilLate(): Promise<never> {
    return new Promise(() => undefined);
  }
}

const STATUS_LINE = /^HTTP\/1\.[01] (\d{3})\b/;

function certificateFinding(tls: TLSSocket): Finding {
  // Typed as an error, and in fact OpenSSL's word for it.
  const problem = String(tls.authorizationError);
  const found = tls.getPeerCertificate();
  const { O: organization, CN: commonName } = found.issuer ?? {};
  const certificate: Certificate = {
    issuer: textOf(commonName) || textOf(organization),
    names: textOf(found.subjectaltname),
    validFrom: found.valid_from ?? "",
    validTo: found.valid_to ?? "",
  };
  return { kind: "certificate", problem, certificate };
}

/** Whatever a certificate says is somebody else's text, for a terminal. */
function textOf(value: unknown): string {
  return typeof value === "string" ? value.replaceAll(/\p{C}/gu, "").slice(0, 100) : "";
}

/** The machine's own, where workerd looks for them too. */
function systemCertificates(): string[] {
  const { SSL_CERT_FILE: file = "", SSL_CERT_DIR: folders = "" } = process.env;
  const bundle = (file === "" ? SYSTEM_CERTIFICATES : [file]).map(readable).find((text) => text !== null);
  const single = folders
    .split(delimiter)
    .flatMap((folder) => filesIn(folder).map((name) => readable(join(folder, name))));
  return [bundle ?? null, ...single].filter((text) => text !== null);
}

function filesIn(folder: string): string[] {
  try {
    // Such folders have each certificate under a name made of its hash, which is what is looked for there.
    return folder === "" ? [] : readdirSync(folder).filter((name) => /^[0-9a-f]{8}\.\d+$/.test(name));
  } catch {
    return [];
  }
}

function readable(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "unknown error";
}

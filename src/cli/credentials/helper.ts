/**
 * Docker's credential helpers: programs `docker-credential-NAME` that read a server's address from standard input and
 * write its credentials as JSON. What a helper prints may hold secrets and is never passed on.
 */
import { spawn } from "node:child_process";
import type { Credential } from "../../registry/credentials.ts";

/** A helper may ask a person to unlock a key ring; longer than this nobody waits for a copy to begin. */
const HELPER_LIMIT_MS = 60_000;

/** Credentials are some kilobytes (cloud tokens); more is not an answer. */
const OUTPUT_LIMIT_BYTES = 256 * 1024;

/** Words by which helpers say that they know nothing of a server; the status is 1 then as for any failure. */
const NOT_FOUND = /credentials not found|no credentials server URL|not logged in/i;

/**
 * Asks a helper for a server's credentials; null when it has none.
 * @throws Error that names the helper and what to do, when it is missing, fails or answers something else.
 */
export async function askHelper(name: string, server: string): Promise<Credential | null> {
  // The name comes from a file and becomes the name of a program.
  if (!/^[A-Za-z0-9._-]+$/.test(name)) {
    throw new Error(`"${name}" is not the name of a credential helper`);
  }
  const program = `docker-credential-${name}`;
  const { status, output } = await run(program, server);
  if (status !== 0) {
    if (NOT_FOUND.test(output)) {
      return null;
    }
    throw new Error(
      `the credential helper ${program} failed for ${server} (status ${status}); try \`echo ${server} | ${program} get\``,
    );
  }
  return credentialOf(program, output);
}

function credentialOf(program: string, output: string): Credential | null {
  let answer: unknown;
  try {
    answer = JSON.parse(output);
  } catch {
    throw new Error(`the credential helper ${program} did not answer with JSON`);
  }
  if (typeof answer !== "object" || answer === null) {
    throw new Error(`the credential helper ${program} gave no object`);
  }
  const username = "Username" in answer && typeof answer.Username === "string" ? answer.Username : "";
  const secret = "Secret" in answer && typeof answer.Secret === "string" ? answer.Secret : "";
  if (secret === "") {
    return null;
  }
  // Docker's convention for an identity token (OAuth2 refresh token) in place of a password.
  return username === "<token>"
    ? { kind: "identity", token: secret, username }
    : { kind: "basic", username, password: secret };
}

function run(program: string, input: string): Promise<{ status: number; output: string }> {
  return new Promise((resolve, reject) => {
    const { DRAYAGE_TOKEN: _ours, ...env } = process.env;
    const child = spawn(program, ["get"], { stdio: ["pipe", "pipe", "ignore"], env, timeout: HELPER_LIMIT_MS });
    const pieces: Buffer[] = [];
    let bytes = 0;
    child.stdout.on("data", (piece: Buffer) => {
      bytes += piece.length;
      if (bytes > OUTPUT_LIMIT_BYTES) {
        child.kill();
      } else {
        pieces.push(piece);
      }
    });
    child.once("error", (error: NodeJS.ErrnoException) => {
      const missing = error.code === "ENOENT";
      const what = missing ? "is not installed or not on the PATH" : `could not be started (${error.code})`;
      reject(new Error(`the credential helper ${program} ${what}`));
    });
    child.once("close", (status, signal) => {
      if (signal !== null) {
        reject(new Error(`the credential helper ${program} did not end in time`));
      } else {
        resolve({ status: status ?? -1, output: Buffer.concat(pieces).toString("utf8") });
      }
    });
    // A helper that ends without reading its input is judged by its status.
    child.stdin.on("error", () => undefined);
    child.stdin.end(input);
  });
}

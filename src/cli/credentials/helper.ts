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

/** What a helper has written before its end is in the pipe by then, and read long before this is over. */
const OUTPUT_REST_MS = 250;

/** Words by which helpers say that they know nothing of a server; the status is 1 then as for any failure. */
const NOT_FOUND = /credentials not found|no credentials server URL|not logged in/i;

/**
 * Asks a helper for a server's credentials; null when it has none.
 * @throws Error that names the helper and what to do, when it is missing, fails or answers something else.
 */
export async function askHelper(name: string, server: string, limitMs = HELPER_LIMIT_MS): Promise<Credential | null> {
  // The name comes from a file and becomes the name of a program.
  if (!/^[A-Za-z0-9._-]+$/.test(name)) {
    throw new Error(`"${name}" is not the name of a credential helper`);
  }
  const program = `docker-credential-${name}`;
  const { status, output } = await run(program, server, limitMs);
  if (status !== 0) {
    if (NOT_FOUND.test(output)) {
      return null;
    }
    throw new Error(
      `The credential helper ${program} failed for ${server} (status ${status}); ${tryIt(program, server)}`,
    );
  }
  return credentialOf(program, server, output);
}

function credentialOf(program: string, server: string, output: string): Credential | null {
  let answer: unknown;
  try {
    answer = JSON.parse(output);
  } catch {
    throw new Error(`The credential helper ${program} did not answer with JSON; ${tryIt(program, server)}`);
  }
  if (typeof answer !== "object" || answer === null) {
    throw new Error(`The credential helper ${program} gave no object; ${tryIt(program, server)}`);
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

function tryIt(program: string, server: string): string {
  return `try \`echo ${server} | ${program} get\``;
}

/**
 * Judged by its own end and not by that of its output, which whatever it has started holds open. It stays in the
 * command's process group, since it may have to ask its user at the terminal.
 */
function run(program: string, input: string, limitMs: number): Promise<{ status: number; output: string }> {
  return new Promise((resolve, reject) => {
    const { DRAYAGE_TOKEN: _ours, ...env } = process.env;
    const child = spawn(program, ["get"], { stdio: ["pipe", "pipe", "ignore"], env });
    const endWithCommand = (): void => void child.kill("SIGKILL");
    process.once("exit", endWithCommand);
    const pieces: Buffer[] = [];
    let bytes = 0;
    const giveUp = (what: string): void => {
      child.kill();
      child.stdout.destroy();
      reject(new Error(`The credential helper ${program} ${what}; ${tryIt(program, input)}`));
    };
    const timer = setTimeout(() => giveUp(`did not answer within ${Math.ceil(limitMs / 1_000)} s`), limitMs);
    const ended = (): void => {
      clearTimeout(timer);
      process.removeListener("exit", endWithCommand);
    };
    child.stdout.on("data", (piece: Buffer) => {
      bytes += piece.length;
      if (bytes > OUTPUT_LIMIT_BYTES) {
        giveUp("prints far more than credentials are");
      } else {
        pieces.push(piece);
      }
    });
    child.once("error", (error: NodeJS.ErrnoException) => {
      ended();
      const missing = error.code === "ENOENT";
      const what = missing ? "is not installed or not on the PATH" : `could not be started (${error.code})`;
      reject(new Error(`The credential helper ${program} ${what}`));
    });
    const judge = (status: number | null, signal: NodeJS.Signals | null): void => {
      clearTimeout(rest);
      child.stdout.destroy();
      if (signal === null) {
        resolve({ status: status ?? -1, output: Buffer.concat(pieces).toString("utf8") });
      } else {
        reject(new Error(`The credential helper ${program} was ended by ${signal}; ${tryIt(program, input)}`));
      }
    };
    let rest: ReturnType<typeof setTimeout> | undefined;
    child.once("exit", (status, signal) => {
      ended();
      rest = setTimeout(() => judge(status, signal), OUTPUT_REST_MS);
    });
    child.once("close", judge);
    // A helper that ends without reading its input is judged by its status.
    child.stdin.on("error", () => undefined);
    child.stdin.end(input);
  });
}

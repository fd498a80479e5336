/**
 * The lock of a folder, held by one process at a time: a listening socket, since no crash leaves one behind on which anybody
 * answers. A name that is dead cannot be removed and taken in one step, and two who do it at once would both have it. So
 * whoever wants the lock first shows a claim under a name of its own, and takes it when no other claim is alive.
 */
import { randomBytes } from "node:crypto";
import { readdirSync, renameSync, rmSync } from "node:fs";
import { connect, createServer, type Server } from "node:net";
import { join } from "node:path";
import { UsageError } from "./failure.ts";

/** Longest path of a Unix socket: 104 bytes on macOS, 108 on Linux, one of them the end mark. */
const SOCKET_PATH_LIMIT_BYTES = 103;

const LOCK = "lock.sock";

/** No longer than the lock's own name, whose length is looked at. */
const CLAIM = /^c[0-9a-f]{8}$/;

/** Of what the holder says; it is an address. */
const SAID_LIMIT_CHARACTERS = 1_000;
const SAID_LIMIT_MS = 2_000;

/** Held by this process. */
export interface Lock {
  /** What whoever asks is told from now on; "" at first. */
  say(text: string): void;
  free(): void;
}

/** A claim is alive for as long as its process takes to look at the others. */
const CLAIM_POLL_MS = 5;
const CLAIM_POLLS = 400;

/** @throws UsageError when another has it. */
export async function takeLock(folder: string): Promise<Lock> {
  const path = join(folder, LOCK);
  if (Buffer.byteLength(path) > SOCKET_PATH_LIMIT_BYTES) {
    throw new UsageError("--state", `${folder} is too long a path for a socket; choose a shorter one`);
  }
  const suffix = randomBytes(4).toString("hex");
  const claim = join(folder, `c${suffix}`);
  let said = "";
  const server = await listening(join(folder, `n${suffix}`), () => said);
  try {
    // Seen only once it listens: a claim on which nobody answers is one that a killed process has left.
    renameSync(join(folder, `n${suffix}`), claim);
    for (let poll = 0; poll < CLAIM_POLLS; poll += 1) {
      const rivals = await rivalsOf(folder, `c${suffix}`);
      // After the claims: one that has just become the lock is in neither place otherwise.
      if ((await answers(path)) || rivals.some((rival) => rival < `c${suffix}`)) {
        break;
      }
      if (rivals.length === 0) {
        renameSync(claim, path);
        return {
          say: (text) => (said = text),
          free: () => {
            rmSync(path, { force: true });
            server.close();
          },
        };
      }
      await new Promise((resolve) => setTimeout(resolve, CLAIM_POLL_MS));
    }
  } catch (error) {
    withdraw(server, claim);
    throw error;
  }
  withdraw(server, claim);
  throw new UsageError("--state", `another \`drayage serve\` uses ${folder}; end it, or give this one --state DIR`);
}

function withdraw(server: Server, claim: string): void {
  rmSync(claim, { force: true });
  server.close();
}

/** The claims of others that are alive; those of the dead are removed. */
async function rivalsOf(folder: string, own: string): Promise<string[]> {
  const rivals: string[] = [];
  for (const name of readdirSync(folder).filter((each) => CLAIM.test(each) && each !== own)) {
    if (await answers(join(folder, name))) {
      rivals.push(name);
    } else {
      rmSync(join(folder, name), { force: true });
    }
  }
  return rivals;
}

/** What the lock's holder says; "": nothing yet, or it does not answer. Null: nobody holds it. */
export function askHolder(folder: string): Promise<string | null> {
  return new Promise((done) => {
    const socket = connect(join(folder, LOCK));
    let text = "";
    const answer = (said: string | null): void => {
      clearTimeout(timer);
      socket.destroy();
      done(said);
    };
    const timer = setTimeout(() => answer(""), SAID_LIMIT_MS);
    socket.setEncoding("utf8");
    socket.on("data", (piece: string) => {
      text += piece;
      if (text.length > SAID_LIMIT_CHARACTERS) {
        answer("");
      }
    });
    socket.once("end", () => answer(text));
    socket.on("error", () => answer(null));
  });
}

function listening(path: string, said: () => string): Promise<Server> {
  return new Promise((done, fail) => {
    const server = createServer((socket) => {
      // Whoever only wants to know that it is alive does not stay for the answer.
      socket.on("error", () => undefined);
      socket.end(said());
    });
    server.once("error", fail);
    server.listen(path, () => done(server));
  });
}

function answers(path: string): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      done(true);
    });
    socket.once("error", () => done(false));
  });
}

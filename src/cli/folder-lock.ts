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

/** A claim is alive for as long as its process takes to look at the others. */
const CLAIM_POLL_MS = 5;
const CLAIM_POLLS = 400;

/**
 * Takes the lock; the answer frees it.
 * @throws UsageError when another has it.
 */
export async function takeLock(folder: string): Promise<() => void> {
  const path = join(folder, LOCK);
  if (Buffer.byteLength(path) > SOCKET_PATH_LIMIT_BYTES) {
    throw new UsageError("--state", `${folder} is too long a path for a socket; choose a shorter one`);
  }
  const suffix = randomBytes(4).toString("hex");
  const claim = join(folder, `c${suffix}`);
  const server = await listening(join(folder, `n${suffix}`));
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
        return () => {
          rmSync(path, { force: true });
          server.close();
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

function listening(path: string): Promise<Server> {
  return new Promise((done, fail) => {
    const server = createServer((socket) => socket.end());
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

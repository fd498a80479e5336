/**
 * Who may do what in the test registry: nothing asked, Basic, or Bearer with a token endpoint of its own that hands out
 * opaque tokens. Scopes are enforced, tokens run out.
 */
import { randomBytes } from "node:crypto";
import type { Exchange } from "./exchange.ts";
import { jsonReply, RegistryError, type Reply } from "./reply.ts";

export interface User {
  name: string;
  password: string;
  /** Actions this user may be given, by repository pattern; without it, everything. */
  may?: { repository: RegExp; actions: string[] }[];
}

export type AuthOptions =
  | { type: "none" }
  | { type: "basic"; users: User[]; anonymousPull?: boolean }
  | {
      type: "bearer";
      users: User[];
      anonymousPull?: boolean;
      /** Life of a token, in seconds. Default 300. */
      lifeSeconds?: number;
      /** Whether the answer says `expires_in`; without it clients must assume 60 s. Default true. */
      tellsLife?: boolean;
      /** `get`: the endpoint answers POST with 405. Default `both`. */
      methods?: "get" | "both";
      /** A token request that names more repositories than the request needs is refused, as Docker Hub does. */
      refusesForeignScopes?: boolean;
      /** Name of the field that holds the token. Default both. */
      field?: "token" | "access_token" | "both";
    };

/** One access a request needs. */
export interface Access {
  repository: string;
  actions: string[];
}

export const TOKEN_PATH = "/token";
const SERVICE = "test-registry";

interface Token {
  access: Access[];
  expiresAtMs: number;
}

export class Authority {
  readonly #options: AuthOptions;
  readonly #now: () => number;
  readonly #tokens = new Map<string, Token>();
  readonly #refreshTokens = new Map<string, User>();

  constructor(options: AuthOptions, now: () => number) {
    this.#options = options;
    this.#now = now;
  }

  /** Makes every token that was handed out invalid, as if its time were over. */
  expireTokens(): void {
    this.#tokens.clear();
  }

  /** Throws 401 with a challenge, or 403, unless the request may do all of that. */
  check(exchange: Exchange, needed: Access[]): void {
    const options = this.#options;
    if (options.type === "none") {
      return;
    }
    const authorization = exchange.header("authorization");
    const readOnly = needed.length > 0 && needed.every(({ actions }) => actions.every((action) => action === "pull"));
    if (options.type === "basic") {
      if (authorization === undefined && options.anonymousPull && readOnly) {
        return;
      }
      const user = findUser(options.users, authorization);
      if (!user) {
        throw refused('Basic realm="test registry"');
      }
      if (!needed.every((access) => granted(user, access).length === access.actions.length)) {
        throw new RegistryError(403, "DENIED", `${user.name} may not do that`);
      }
      return;
    }
    const scope = needed.map(({ repository, actions }) => `repository:${repository}:${actions.join(",")}`).join(" ");
    const realm = `http://${exchange.header("host")}${TOKEN_PATH}`;
    const challenge = `Bearer realm="${realm}",service="${SERVICE}"${scope ? `,scope="${scope}"` : ""}`;
    const token = this.#tokens.get(/^Bearer (.+)$/i.exec(authorization ?? "")?.[1] ?? "");
    if (!token) {
      throw refused(authorization === undefined ? challenge : `${challenge},error="invalid_token"`);
    }
    if (token.expiresAtMs <= this.#now()) {
      throw refused(`${challenge},error="invalid_token"`);
    }
    if (!needed.every((access) => covers(token.access, access))) {
      throw refused(`${challenge},error="insufficient_scope"`);
    }
  }

  /** GET and POST of the token endpoint (distribution's token and OAuth2 documents). */
  async issue(exchange: Exchange): Promise<Reply> {
    const options = this.#options;
    if (options.type !== "bearer") {
      throw new RegistryError(404, "UNSUPPORTED", "there is no token endpoint here");
    }
    if (exchange.method === "POST" && options.methods === "get") {
      throw new RegistryError(405, "UNSUPPORTED", "POST is not supported", { allow: "GET" });
    }
    const form =
      exchange.method === "POST"
        ? new URLSearchParams((await exchange.smallBody()).toString())
        : exchange.url.searchParams;
    const credentials = exchange.header("authorization") ?? basicOf(form.get("username"), form.get("password"));
    const refresh = form.get("refresh_token");
    const user = refresh === null ? findUser(options.users, credentials) : this.#refreshTokens.get(refresh);
    if (!user && (credentials !== undefined || refresh !== null || !options.anonymousPull)) {
      throw new RegistryError(401, "UNAUTHORIZED", "wrong user or password");
    }
    const asked = form.getAll("scope").flatMap((scope) => scope.split(" ").filter(Boolean).map(parseScope));
    const repositories = new Set(asked.map(({ repository }) => repository));
    if (options.refusesForeignScopes && repositories.size > 1) {
      throw new RegistryError(400, "UNSUPPORTED", "invalid repository name");
    }
    // A server may grant less than was asked for, with status 200.
    const access = asked.map((wanted) => ({ repository: wanted.repository, actions: granted(user, wanted) }));
    const token = randomBytes(24).toString("base64url");
    const lifeSeconds = options.lifeSeconds ?? 300;
    this.#tokens.set(token, { access, expiresAtMs: this.#now() + lifeSeconds * 1000 });
    const field = options.field ?? "both";
    const offline = form.get("access_type") === "offline" || form.get("offline_token") === "true";
    const refreshToken = offline && user ? randomBytes(16).toString("base64url") : undefined;
    if (refreshToken !== undefined && user) {
      this.#refreshTokens.set(refreshToken, user);
    }
    return jsonReply(200, {
      ...(field === "access_token" ? {} : { token }),
      ...(field === "token" ? {} : { access_token: token }),
      ...(options.tellsLife === false
        ? {}
        : { expires_in: lifeSeconds, issued_at: new Date(this.#now()).toISOString() }),
      ...(refreshToken === undefined ? {} : { refresh_token: refreshToken }),
    });
  }
}

/** Accesses a request needs, from its method and the repository; a mount reads its source as well. */
export function accessOf(method: string, repository: string, resource: string, mountFrom: string | null): Access[] {
  const needed: Access[] = [];
  if (method === "GET" || method === "HEAD") {
    needed.push({ repository, actions: ["pull"] });
  }
  // Cancelling an upload is part of pushing: a token for pushing is enough here, though not everywhere.
  else if (method === "DELETE" && resource !== "uploads") {
    needed.push({ repository, actions: ["delete"] });
  } else {
    needed.push({ repository, actions: ["pull", "push"] });
  }
  if (mountFrom !== null && mountFrom !== repository) {
    needed.push({ repository: mountFrom, actions: ["pull"] });
  }
  return needed;
}

function refused(challenge: string): RegistryError {
  return new RegistryError(401, "UNAUTHORIZED", "authentication required", { "www-authenticate": challenge });
}

function basicOf(name: string | null, password: string | null): string | undefined {
  return name === null ? undefined : `Basic ${Buffer.from(`${name}:${password ?? ""}`).toString("base64")}`;
}

function findUser(users: User[], authorization: string | undefined): User | undefined {
  const encoded = /^Basic (.+)$/i.exec(authorization ?? "")?.[1];
  if (encoded === undefined) {
    return undefined;
  }
  const given = Buffer.from(encoded, "base64").toString();
  return users.find(({ name, password }) => `${name}:${password}` === given);
}

function granted(user: User | undefined, { repository, actions }: Access): string[] {
  if (!user) {
    return actions.filter((action) => action === "pull");
  }
  const { may } = user;
  if (!may) {
    return actions;
  }
  const allowed = new Set(may.filter((entry) => entry.repository.test(repository)).flatMap((entry) => entry.actions));
  return actions.filter((action) => allowed.has(action));
}

function covers(held: Access[], { repository, actions }: Access): boolean {
  const all = held.filter((access) => access.repository === repository).flatMap((access) => access.actions);
  return actions.every((action) => all.includes(action));
}

/** `repository:NAME:pull,push`; the name may hold colons of a port, so the ends are cut off. */
function parseScope(scope: string): Access {
  const [first, last] = [scope.indexOf(":"), scope.lastIndexOf(":")];
  return {
    repository: scope.slice(first + 1, last),
    actions: scope
      .slice(last + 1)
      .split(",")
      .filter(Boolean),
  };
}

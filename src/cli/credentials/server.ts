/**
 * Answers the Worker's questions for credentials on a Unix socket: `GET /?host=H&repository=R`. The socket lies in a
 * folder of this user alone; nothing here is logged.
 */
import { createServer, type Server, type ServerResponse } from "node:http";
import type { Credential } from "../../registry/credentials.ts";
import type { CredentialLookup } from "./lookup.ts";

/**
 * Listens until closed. 200: the credential as JSON, 204: none is known, 500: `{error}` in words.
 * @throws Error when there can be no socket at the path, such as one that is too long.
 */
export function serveCredentials(socketPath: string, lookup: CredentialLookup): Promise<Server> {
  const server = createServer((request, response) => {
    void respond(request.url ?? "/", lookup, response);
  });
  // The copy's end, not this server, decides when the command ends.
  server.unref();
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(socketPath, () => resolve(server));
  });
}

async function respond(url: string, lookup: CredentialLookup, response: ServerResponse): Promise<void> {
  const { status, body } = await answer(url, lookup);
  if (body === null) {
    response.writeHead(status).end();
  } else {
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
  }
}

async function answer(url: string, lookup: CredentialLookup): Promise<{ status: number; body: object | null }> {
  const query = new URL(url, "http://credentials").searchParams;
  const host = query.get("host");
  if (host === null || host === "") {
    return { status: 400, body: { error: "the parameter `host` is missing" } };
  }
  try {
    const credential = await lookup(host, query.get("repository") || null);
    return credential === null ? { status: 204, body: null } : { status: 200, body: wireForm(credential) };
  } catch (error) {
    return { status: 500, body: { error: error instanceof Error ? error.message : "the lookup failed" } };
  }
}

function wireForm(credential: Credential): object {
  if (credential.kind === "basic") {
    return { username: credential.username, password: credential.password };
  }
  return credential.kind === "identity"
    ? { identityToken: credential.token, username: credential.username }
    : { registryToken: credential.token };
}

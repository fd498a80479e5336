/**
 * Puts blobs and manifests into a registry over HTTP, as plainly as the spec allows, and with the credentials it asks for.
 * It prepares tests and is independent of the client under test on purpose.
 */

export interface PushTarget {
  /** `127.0.0.1:5000`; spoken to over plain HTTP. */
  host: string;
  user?: string;
  password?: string;
}

export class RegistryWriter {
  readonly #target: PushTarget;
  readonly #repository: string;
  #authorization: string | null = null;

  constructor(target: PushTarget, repository: string) {
    this.#target = target;
    this.#repository = repository;
  }

  async putBlob(digest: string, bytes: Buffer): Promise<void> {
    const there = await this.#send("HEAD", `/v2/${this.#repository}/blobs/${digest}`, [200, 404]);
    if (there.status === 200) {
      return;
    }
    const opened = await this.#send("POST", `/v2/${this.#repository}/blobs/uploads/`, [202]);
    const location = new URL(opened.headers.get("location") ?? "", `http://${this.#target.host}`);
    location.searchParams.set("digest", digest);
    await this.#send("PUT", location.pathname + location.search, [201], bytes, "application/octet-stream");
  }

  /** @param reference tag or digest. */
  async putManifest(reference: string, mediaType: string, bytes: Buffer): Promise<void> {
    await this.#send("PUT", `/v2/${this.#repository}/manifests/${reference}`, [201], bytes, mediaType);
  }

  async #send(method: string, path: string, wanted: number[], body?: Buffer, type?: string): Promise<Response> {
    const attempt = (): Promise<Response> =>
      fetch(`http://${this.#target.host}${path}`, {
        method,
        headers: {
          ...(type === undefined ? {} : { "content-type": type }),
          ...(this.#authorization === null ? {} : { authorization: this.#authorization }),
        },
        ...(body === undefined ? {} : { body: new Uint8Array(body) }),
      });
    let response = await attempt();
    if (response.status === 401) {
      await response.body?.cancel();
      this.#authorization = await this.#authorize(response.headers.get("www-authenticate") ?? "");
      response = await attempt();
    }
    if (!wanted.includes(response.status)) {
      throw new Error(`${method} ${this.#target.host}${path}: ${response.status} ${await response.text()}`);
    }
    await response.body?.cancel();
    return response;
  }

  async #authorize(challenge: string): Promise<string> {
    const { user = "", password = "" } = this.#target;
    const basic = `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
    const realm = /^Bearer .*realm="([^"]+)"/i.exec(challenge)?.[1];
    if (realm === undefined) {
      return basic;
    }
    const url = new URL(realm);
    url.searchParams.set("service", /service="([^"]+)"/.exec(challenge)?.[1] ?? "");
    url.searchParams.set("scope", `repository:${this.#repository}:pull,push`);
    const response = await fetch(url, { headers: user === "" ? {} : { authorization: basic } });
    const answer: unknown = await response.json();
    if (typeof answer === "object" && answer !== null && "token" in answer && typeof answer.token === "string") {
      return `Bearer ${answer.token}`;
    }
    throw new Error(`no token from ${url.host}: status ${response.status}`);
  }
}

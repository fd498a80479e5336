/** What Debian's registry has been asked, read from its log. */
import { randomUUID } from "node:crypto";
import { vi } from "vitest";
import { USER_AGENT } from "../../src/registry/user-agent.ts";
import type { DockerRegistry } from "../support/docker-registry.ts";

export interface LoggedRequest {
  method: string;
  /** Path and query. */
  uri: string;
  status: number;
}

const FIELD = /(http\.\S+?)=(?:"((?:[^"\\]|\\.)*)"|(\S*))/g;

/**
 * All requests of the service that the registry has answered so far, in the order of their answers. The registry writes
 * its line after its answer: a test that counts to the last one calls {@link logSettled} first.
 */
export function requestsOf(registry: DockerRegistry): LoggedRequest[] {
  const lines = registry.log().split("\n");
  return lines
    .filter(
      (line) => line.includes('msg="response completed') && line.includes(`http.request.useragent=${USER_AGENT} `),
    )
    .map((line) => {
      const fields = new Map([...line.matchAll(FIELD)].map(([, name, quoted, plain]) => [name, quoted ?? plain ?? ""]));
      const field = (name: string): string => fields.get(`http.${name}`) ?? "";
      return {
        method: field("request.method"),
        uri: field("request.uri"),
        status: Number(field("response.status")),
      };
    });
}

/** Waits until the registry has written down what it answered before this call. */
export async function logSettled(registry: DockerRegistry): Promise<void> {
  const marker = `settled=${randomUUID()}`;
  await (await fetch(`${registry.url}/v2/?${marker}`)).arrayBuffer();
  await vi.waitUntil(() => registry.log().includes(marker), { timeout: 30_000, interval: 5 });
}

/** `METHOD kind`, such as `POST upload`, `PUT upload`, `HEAD blob`, `PUT manifest`. */
export function kindOf({ method, uri }: LoggedRequest): string {
  const kind = ["blobs/uploads/", "blobs/", "manifests/", "tags/"].find((part) => uri.includes(`/${part}`));
  return `${method} ${kind === "blobs/uploads/" ? "upload" : (kind?.slice(0, -2) ?? "base")}`;
}

/** How often each kind of request was made. */
export function countsOf(requests: readonly LoggedRequest[]): Record<string, number> {
  const counts = Map.groupBy(requests, kindOf);
  return Object.fromEntries([...counts].map(([kind, some]) => [kind, some.length]));
}

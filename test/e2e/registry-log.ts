/** What Debian's registry has been asked, read from its log. */
import type { DockerRegistry } from "../support/docker-registry.ts";

export interface LoggedRequest {
  method: string;
  /** Path and query. */
  uri: string;
  status: number;
}

const FIELD = /(http\.\S+?)=(?:"((?:[^"\\]|\\.)*)"|(\S*))/g;

/** All requests that the registry has answered so far, in the order of their answers. */
export function requestsOf(registry: DockerRegistry): LoggedRequest[] {
  const lines = registry.log().split("\n");
  return lines
    .filter((line) => line.includes('msg="response completed'))
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

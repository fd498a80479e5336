/** What the tests of the test registry send: plain requests, nothing clever. */
import { createHash } from "node:crypto";

export function sha256(bytes: Uint8Array | string): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

/** A request with a text body; redirects are shown, not followed. */
export function send(
  method: string,
  url: string,
  headers: Record<string, string> = {},
  body?: string,
): Promise<Response> {
  return fetch(url, { method, headers, redirect: "manual", ...(body === undefined ? {} : { body }) });
}

export async function errorCode(response: Response): Promise<string> {
  const match = /"code":"([A-Z_]+)"/.exec(await response.text());
  return match?.[1] ?? "";
}

/** Opens an upload; gives the absolute Location. */
export async function openUpload(url: string, repository: string): Promise<string> {
  const response = await send("POST", `${url}/v2/${repository}/blobs/uploads/`);
  return locationOf(response, url);
}

export function locationOf(response: Response, url: string): string {
  return new URL(response.headers.get("location") ?? "", url).href;
}

/** Pushes a blob in one PUT; gives its digest. */
export async function pushBlob(url: string, repository: string, content: string): Promise<string> {
  const digest = sha256(content);
  await send("PUT", `${await openUpload(url, repository)}&digest=${digest}`, {}, content);
  return digest;
}

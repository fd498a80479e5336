/**
 * The one place every request to a registry passes: builds its addresses from the host's settings, keeps credentials to
 * the registry's own host, follows redirects by hand, counts requests and collects the registry's warnings. What an
 * answer means, and whether to try again, is decided above.
 */
import { shownHost } from "./address.ts";
import { discard } from "./body.ts";
import type { HostSettings, Usage } from "./contract.ts";
import { CopyError, type ErrorCode, type ErrorDetail } from "./errors.ts";
import { reachProblem } from "./reach.ts";
import { warningTexts } from "./warnings.ts";
import { createWire, type WireOptions, type WireRequest } from "./wire.ts";

/** More hops than this is a loop. */
const MAX_REDIRECTS = 10;

const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
/** RFC 9110, section 15.4: these alone have a request made again as it was. */
const KEEPS_METHOD: ReadonlySet<number> = new Set([307, 308]);

/** A registry that warns differently every time must not fill the memory. */
const MAX_WARNINGS = 50;

export interface TransportOptions extends WireOptions {
  settings: HostSettings;
}

export interface TransportRequest extends Omit<WireRequest, "redirect"> {
  /** Sent to the registry's own host only, wherever the request or a redirect leads. */
  authorization: string | null;
}

/** A stream was to be sent, and the registry wants it elsewhere: its bytes have to be sent once more. */
export class Moved extends CopyError {
  readonly url: URL;

  constructor(detail: ErrorDetail, url: URL) {
    super(detail);
    this.url = url;
  }
}

export interface Transport {
  readonly usage: Usage;
  /** `/v2/[prefix/]<repository>/<path>` at the registry. */
  url(repository: string, path: string): URL;
  /** An address the registry named, absolute or relative to the request it answered. */
  resolve(location: string, from: URL, operation: string): URL;
  /** Whether the address is at the registry's own host, where credentials may be sent. */
  isOwn(url: URL): boolean;
  /**
   * Sends a request and follows redirects: all of GET and HEAD, those of others that keep the method (307, 308).
   * @throws Moved where a stream was to be sent: whoever has its bytes must send them there.
   */
  send(request: TransportRequest): Promise<{ response: Response; url: URL }>;
}

export function createTransport(options: TransportOptions): Transport {
  const { settings, side, host } = options;
  const wire = createWire(options);
  const base = new URL(`${settings.tls === "disabled" ? "http" : "https"}://${settings.hostname}/`);
  const usage: Usage = { requests: 0, warnings: [] };

  const refuse = (operation: string, code: ErrorCode, problem: string): CopyError =>
    new CopyError({ code, side, host, operation, retryable: false, message: `${host} ${problem} ("${operation}")` });

  const isOwn = (url: URL): boolean => url.host === base.host;

  const check = (target: URL, operation: string, what: string): URL => {
    const problem = reachProblem(target, base) ?? options.refusalOf(target);
    if (problem === null) {
      return target;
    }
    throw refuse(operation, "denied", `answered with ${what} that is not followed: ${shownHost(target)} ${problem}`);
  };

  const parse = (location: string, from: URL, operation: string): URL => {
    if (URL.canParse(location, from.href)) {
      return new URL(location, from);
    }
    throw refuse(operation, "unsupported", "answered with a location that is not an address");
  };

  const note = (response: Response): void => {
    for (const text of warningTexts(response.headers.get("warning"))) {
      if (usage.warnings.length < MAX_WARNINGS && !usage.warnings.includes(text)) {
        usage.warnings.push(text);
      }
    }
  };

  return {
    usage,
    isOwn,
    url(repository, path) {
      const prefix = settings.pathPrefix === "" ? "" : `${settings.pathPrefix.replace(/^\/+|\/+$/g, "")}/`;
      return new URL(`/v2/${prefix}${repository}/${path}`, base);
    },
    resolve(location, from, operation) {
      const target = parse(location, from, operation);
      // A registry behind a proxy that ends TLS often believes itself on plain HTTP; its host name is right all the same, with or without the port.
      const isOwnName = target.host === base.host || target.host === base.hostname;
      if (base.protocol === "https:" && target.protocol === "http:" && isOwnName) {
        target.protocol = "https:";
        target.port = base.port;
      }
      return check(target, operation, "a location");
    },
    async send(request) {
      let { url } = request;
      for (let redirect = 0; ; redirect++) {
        const headers = { ...request.headers };
        if (request.authorization !== null && isOwn(url)) {
          headers["authorization"] = request.authorization;
        }
        usage.requests++;
        const response = await wire({ ...request, url, headers, redirect });
        note(response);
        const location = REDIRECTS.has(response.status) ? response.headers.get("location") : null;
        if (location === null) {
          return { response, url };
        }
        discard(response);
        const isRead = request.method === "GET" || request.method === "HEAD";
        if (!isRead && !KEEPS_METHOD.has(response.status)) {
          throw refuse(
            request.operation,
            "unsupported",
            `answered ${request.method} with ${response.status} to ${shownOrigin(parse(location, url, request.operation))}, ` +
              "which makes a GET of it; set hostname and tls of this host so that it is reached there directly",
          );
        }
        if (redirect === MAX_REDIRECTS) {
          throw refuse(request.operation, "unsupported", `redirected more than ${MAX_REDIRECTS} times`);
        }
        url = check(parse(location, url, request.operation), request.operation, "a redirect");
        if (request.body instanceof ReadableStream) {
          // Seen by a person only when following it leads nowhere.
          const problem =
            `answered ${request.method} with ${response.status} to ${shownOrigin(url)}, again and again; ` +
            "set hostname and tls of this host so that it is reached there directly";
          throw new Moved(
            { ...refuse(request.operation, "unsupported", problem).detail, status: response.status },
            url,
          );
        }
      }
    },
  };
}

function shownOrigin(url: URL): string {
  return `${url.protocol}//${shownHost(url)}`;
}

/**
 * The Worker that `npm run bench:host` runs in place of the service's own: the real RegistryHost, driven by RPC as lanes
 * and jobs do, beside jobs that keep nothing, so that what is measured is the host. Never part of the build.
 */
import { DurableObject } from "cloudflare:workers";
import type { Env } from "../src/env.ts";
import type { BlobOffer, TransferReport } from "../src/host/contract.ts";

export { RegistryHost } from "../src/host/registry-host.ts";

/** Offers in one call, as a job with many manifests would send them. */
const OFFERS_PER_CALL = 2_000;

/** A job that has heard everything and says so. */
export class CopyJob extends DurableObject<Env> {
  async settled(): Promise<void> {}
  async warned(): Promise<void> {}
  async progressed(): Promise<void> {}
}

export class CopyIndex extends DurableObject<Env> {}

export class Notifier extends DurableObject<Env> {}

export class CopyGroup extends DurableObject<Env> {}

/** Blobs that no other call of this makes: of equal ones only the first would move. */
function offers(job: string, sourceHost: string, first: number, count: number): BlobOffer[] {
  const since = Date.now();
  return Array.from({ length: count }, (_, offset) => {
    const index = first + offset;
    const digest = `sha256:${index.toString(16).padStart(64, "0")}`;
    const repository = `team/service-${index % 50}`;
    return {
      id: `${job}/${repository}@${digest}`,
      digest,
      sizeBytes: 1_000 + ((index * 7_919) % 10_000_000),
      targetRepository: repository,
      sourceHost,
      sourceRepository: repository,
      mayExist: false,
      since: since + index,
    };
  });
}

/** Brings so many offers to the host, spread over that many jobs. */
async function fill(env: Env, host: string, sourceHost: string, count: number, jobs: number): Promise<void> {
  const registry = env.REGISTRIES.getByName(host);
  for (let job = 0; job < jobs; job++) {
    const name = `job-${job}`;
    const each = Math.ceil(count / jobs);
    const all = offers(name, sourceHost, job * each, each);
    for (let from = 0; from < all.length; from += OFFERS_PER_CALL) {
      await registry.offer(name, all.slice(from, from + OFFERS_PER_CALL));
    }
  }
}

/** One lane takes and reports transfers, `width` at once, until it has made so many calls; answers the milliseconds. */
async function churn(env: Env, host: string, width: number, calls: number): Promise<number> {
  using session = await env.REGISTRIES.getByName(host).join({ name: "bench", width, held: [] });
  let left = calls;
  const startedAtMs = Date.now();
  const one = async (): Promise<void> => {
    let report: TransferReport | undefined;
    while (left > 0) {
      left -= 1;
      const transfer = await session.next(report);
      if (transfer === null) {
        throw new Error("the host had nothing more to do");
      }
      report = {
        lease: transfer.lease,
        result: { kind: "copied" },
        bytes: transfer.offer.sizeBytes,
        target: { class: "ok" },
        source: { class: "ok" },
        requests: { source: 1, target: 2 },
        warnings: [],
      };
    }
    if (report !== undefined) {
      await session.report(report);
    }
  };
  await Promise.all(Array.from({ length: width }, one));
  return Date.now() - startedAtMs;
}

export default {
  async fetch(request, env): Promise<Response> {
    const { pathname, searchParams } = new URL(request.url);
    const host = searchParams.get("host") ?? "";
    const number = (name: string): number => Number(searchParams.get(name));
    switch (pathname) {
      case "/fill":
        await fill(env, host, searchParams.get("source") ?? host, number("count"), number("jobs"));
        return new Response(String((await env.REGISTRIES.getByName(host).snapshot()).waiting.blob));
      case "/churn":
        return new Response(String(await churn(env, host, number("width"), number("calls"))));
      default:
        return new Response("not found", { status: 404 });
    }
  },
  async queue(): Promise<void> {},
} satisfies ExportedHandler<Env>;

/** The Worker: its handlers, and the classes of its Durable Objects. */
import { handleFetch } from "./api/router.ts";
import type { Env } from "./env.ts";
import type { WorkOrder } from "./host/contract.ts";
import { handleQueue } from "./lane/consumer.ts";

export { CopyIndex } from "./ledger/copy-index.ts";
export { CopyJob } from "./job/copy-job.ts";
export { RegistryHost } from "./host/registry-host.ts";

export default {
  fetch: handleFetch,
  queue: handleQueue,
} satisfies ExportedHandler<Env, WorkOrder>;

/** The Worker: its handlers, and the classes of its Durable Objects. */
import { env as environment } from "cloudflare:workers";
import { handleFetch } from "./api/router.ts";
import { logLevel } from "./config.ts";
import type { QueueProbe } from "./doctor/queue.ts";
import type { Env } from "./env.ts";
import type { WorkOrder } from "./host/contract.ts";
import { handleQueue } from "./lane/consumer.ts";
import { INDEX_NAME } from "./ledger/contract.ts";
import { setLogLevel } from "./log.ts";

export { CopyIndex } from "./ledger/copy-index.ts";
export { CopyGroup } from "./job/group/copy-group.ts";
export { CopyJob } from "./job/copy-job.ts";
export { Notifier } from "./notify/notifier.ts";
export { RegistryHost } from "./host/registry-host.ts";

setLogLevel(logLevel(environment));

export default {
  fetch: handleFetch,
  queue: handleQueue,
  /** The index rings by itself; this is for when its alarm was lost. */
  scheduled: (_controller, env) => env.INDEX.getByName(INDEX_NAME).tick(),
} satisfies ExportedHandler<Env, WorkOrder | QueueProbe>;

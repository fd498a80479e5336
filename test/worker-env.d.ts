/** Types of `env` and `exports` of "cloudflare:workers" in tests that run inside workerd. */
import type { Env as DrayageEnv } from "../src/env.ts";
import type * as Main from "../src/index.ts";

declare global {
  namespace Cloudflare {
    interface Env extends DrayageEnv {}
    interface GlobalProps {
      mainModule: typeof Main;
      durableNamespaces: "CopyJob" | "RegistryHost" | "CopyIndex" | "Notifier";
    }
  }
}

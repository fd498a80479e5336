/** What the set-up of the test projects provides; read with vitest's `inject`. */
import "vitest";

declare module "vitest" {
  interface ProvidedContext {
    /** `host:port` of registries of the project's own that answer over plain HTTP on loopback; `chunked` wants 256 KiB at once. */
    registries: { source: string; target: string; chunked: string };
    /** A bearer token that the Worker under test accepts. */
    apiToken: string;
    /** End-to-end tests: Debian's registry is not installed. */
    withoutRegistry: boolean;
    /** End-to-end tests: the command whose Worker is watched for the limits of production, and where it leaves its log. */
    underLimits: { command: string; processes: string };
  }
}

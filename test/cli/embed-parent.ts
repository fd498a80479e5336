/** A process that starts the service and waits: what `embed.node.test.ts` kills. Arguments: the stub's artifact as JSON. */
import { startEmbedded } from "../../src/cli/embed/embed.ts";

const embedded = await startEmbedded({
  stateFolder: null,
  listen: "127.0.0.1:0",
  settings: { hosts: {} },
  tokenHashes: [],
  trustedCertificates: [],
  credentials: () => Promise.resolve(null),
  onLine: () => undefined,
  artifact: JSON.parse(process.argv[2] ?? "{}"),
});
console.log(`started ${embedded.pid}`);
setInterval(() => undefined, 60_000);

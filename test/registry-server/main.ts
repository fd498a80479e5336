/** The test registry as a command: `node test/registry-server/main.ts --port 5000 --referrers`. Prints its address. */
import { parseArgs } from "node:util";
import type { AuthOptions } from "./auth.ts";
import { isPersonality, PERSONALITIES } from "./personalities.ts";
import { startRegistry } from "./server.ts";

const HELP = `usage: node test/registry-server/main.ts [options]
  --port N           port on 127.0.0.1 (default: any free one)
  --basic USER:PASS  ask for Basic authentication
  --bearer USER:PASS ask for a token, with a token endpoint of its own
  --anonymous-pull   let everybody read
  --personality NAME behave like ${Object.keys(PERSONALITIES).join(", ")}
  --referrers        switch the referrers API on
  --redirect         send blob reads to a second listener
  --discard          count and hash blobs, keep none
  --log              print every request when it is over`;

const { values } = parseArgs({
  options: {
    port: { type: "string", default: "0" },
    basic: { type: "string" },
    bearer: { type: "string" },
    personality: { type: "string", default: "" },
    "anonymous-pull": { type: "boolean", default: false },
    referrers: { type: "boolean", default: false },
    redirect: { type: "boolean", default: false },
    discard: { type: "boolean", default: false },
    log: { type: "boolean", default: false },
    help: { type: "boolean", short: "h", default: false },
  },
});

if (values.help) {
  console.log(HELP);
} else {
  await run();
}

async function run(): Promise<void> {
  const { personality } = values;
  if (personality !== "" && !isPersonality(personality)) {
    throw new Error(`--personality ${personality}: use one of ${Object.keys(PERSONALITIES).join(", ")}`);
  }
  const registry = await startRegistry({
    port: Number(values.port),
    // What is not asked for is left to the personality.
    ...(personality !== "" && { personality }),
    ...((personality === "" || values.basic !== undefined || values.bearer !== undefined) && { auth: authFrom() }),
    ...(values.referrers && { referrers: true }),
    ...(values.redirect && { redirect: true }),
    ...(values.discard && { discard: true }),
  });
  console.log(registry.host);
  if (values.log) {
    registry.recorder.onEnd = ({ method, path, status, bytesIn, bytesOut, tookMs }) =>
      console.log(`${method} ${path} ${status} in=${bytesIn} out=${bytesOut} ${tookMs.toFixed(1)}ms`);
  }
  for (const signal of ["SIGINT", "SIGTERM"]) {
    process.once(signal, () => void registry.close());
  }
}

function authFrom(): AuthOptions {
  const given = values.basic ?? values.bearer;
  if (given === undefined) {
    return { type: "none" };
  }
  const colon = given.indexOf(":");
  const users = [{ name: given.slice(0, colon), password: given.slice(colon + 1) }];
  return { type: values.basic === undefined ? "bearer" : "basic", users, anonymousPull: values["anonymous-pull"] };
}

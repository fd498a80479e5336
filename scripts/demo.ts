/**
 * `npm run demo`: two small registries of the project's own, a sample image for two platforms, a visible copy by the
 * built command through workerd, the result compared byte for byte, and a second copy that finds nothing to do.
 */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { constants } from "node:os";
import { fileURLToPath } from "node:url";
import prettyBytes from "pretty-bytes";
import { startRegistry, type TestRegistry } from "../test/registry-server/server.ts";
import { compareStores, httpStore } from "../test/support/compare.ts";
import { multiPlatformImage, pushSample } from "../test/support/sample-image.ts";

const COMMAND = fileURLToPath(new URL("../dist/drayage.mjs", import.meta.url));
const REPOSITORY = "demo/app";
const MB = 1_000_000;
/** The first layer is shared by the platforms: 40 MB in all. */
const LAYER_BYTES = [8 * MB, 10 * MB, 4 * MB, 1.9 * MB, 60_000];

async function demo(): Promise<number> {
  if (!existsSync(COMMAND)) {
    console.error("dist/drayage.mjs is not there: run `npm run build` first.");
    return 1;
  }
  const source = await startRegistry();
  const target = await startRegistry();
  try {
    return await run(source, target);
  } finally {
    await Promise.all([source.close(), target.close()]);
  }
}

async function run(source: TestRegistry, target: TestRegistry): Promise<number> {
  const sample = multiPlatformImage({ layerBytes: LAYER_BYTES });
  await pushSample(source.host, REPOSITORY, sample);
  const from = `${source.host}/${REPOSITORY}:${sample.tag}`;
  const to = `${target.host}/${REPOSITORY}:${sample.tag}`;
  console.log(
    `A sample image for two platforms, with attestations: ${sample.manifests.length} manifests, ` +
      `${sample.blobs.size} blobs, ${prettyBytes(sample.blobBytes)}, at ${source.host}.`,
  );

  source.recorder.reset();
  const first = await copy(from, to);
  if (first.status !== 0) {
    return failed(`the command ended with status ${first.status}`);
  }
  const requests = { source: source.requests.length, target: target.requests.length };

  const { problems, manifests, blobs, blobBytes } = await compareStores(
    httpStore(source.host, REPOSITORY),
    httpStore(target.host, REPOSITORY),
    [sample.tag],
  );
  if (target.openUploads().length > 0) {
    problems.push("an upload session was left open at the target");
  }
  if (problems.length > 0) {
    return failed(...problems);
  }
  console.log(
    [
      `\n  image      ${sample.digest}`,
      `  manifests  ${manifests}`,
      `  blobs      ${blobs}, ${prettyBytes(blobBytes)}`,
      `  requests   ${requests.source} to the source, ${requests.target} to the target`,
      `  took       ${first.seconds.toFixed(2)} s, start and end of the service included`,
      "  verified   every manifest and blob read back from both registries, byte for byte",
    ].join("\n"),
  );

  console.log("\nOnce more, now that everything is there:");
  source.recorder.reset();
  target.recorder.reset();
  const second = await copy(from, to);
  if (second.status !== 0) {
    return failed(`the second copy ended with status ${second.status}`);
  }
  const again = source.requests.length + target.requests.length;
  const moved = [...source.requests, ...target.requests].some(({ path }) => path.includes("/blobs/"));
  if (moved) {
    return failed("the second copy asked for blobs");
  }
  console.log(`\n  nothing to do: ${again} requests, no blob touched, ${second.seconds.toFixed(2)} s`);
  return 0;
}

function failed(...problems: string[]): number {
  console.error(["\nThe demo failed:", ...problems.map((problem) => `  ${problem}`)].join("\n"));
  return 1;
}

/** Runs the command as a user would, its output on this terminal. */
function copy(from: string, to: string): Promise<{ status: number; seconds: number }> {
  console.log(`\n$ drayage copy ${from} ${to}`);
  const start = performance.now();
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [COMMAND, "copy", from, to], { stdio: "inherit" });
    child.on("error", reject);
    child.on("exit", (code, signal) => {
      // A shell's way to tell an end by a signal.
      const status = code ?? 128 + (signal ? constants.signals[signal] : 0);
      resolve({ status, seconds: (performance.now() - start) / 1000 });
    });
  });
}

// Ctrl-C reaches the command too, which cancels the copy; the demo then ends with its status.
process.on("SIGINT", () => {});
process.exitCode = await demo();

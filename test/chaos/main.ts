/** `npm run chaos -- --copies N --seed S`: a chaos run from the command line. Exit status 1 when anything is wrong. */
import { writeFileSync } from "node:fs";
import { Command } from "commander";
import { faultsOf, linesOf } from "./report.ts";
import { runChaos } from "./run.ts";

interface Options {
  copies: string;
  seed: string;
  width: string;
  pause: string;
  json?: string;
  keep?: true;
}

/** A seed that can be said and typed. */
const SEEDS = 1_000_000;

const program = new Command("chaos")
  .description("Copies images while everything around the service breaks, and looks whether all is right afterwards.")
  .option("--copies <number>", "how many", "100")
  .option("--seed <number>", "of everything that is drawn", String(Math.floor(Math.random() * SEEDS)))
  .option("--width <number>", "copies at once", "24")
  .option("--pause <ms>", "longest pause between two blows at the service; 0: no blows", "6000")
  .option("--keep", "leave the service's logs behind")
  .option("--json <file>", "write the report there, as JSON")
  .parse();
const { copies, seed, width, pause, json, keep } = program.opts<Options>();

console.log(`seed ${seed}`);
let ended = 0;
const report = await runChaos({
  copies: Number(copies),
  seed: Number(seed),
  width: Number(width),
  pauseMaxMs: Number(pause),
  keep: keep === true,
  onEnded: ({ planned, state, problems }) => {
    ended += 1;
    for (const problem of problems) {
      console.log(`copy ${planned.index} (${planned.fate}) ${state}: ${problem}`);
    }
    if (ended % 50 === 0) {
      console.log(`${ended} of ${copies} ended`);
    }
  },
});
for (const line of linesOf(report)) {
  console.log(line);
}
if (json !== undefined) {
  writeFileSync(json, `${JSON.stringify(report, null, 2)}\n`);
}
process.exit(faultsOf(report).length === 0 ? 0 : 1);

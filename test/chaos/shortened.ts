/**
 * The service's time limits, turned down for the chaos run: a minute's wait after each of fifty kills would leave no time
 * for chaos. Only how long, never what happens. A limit that is not found any more fails the build.
 */
import { readFile } from "node:fs/promises";
import type { Plugin } from "esbuild";

/** By the constant's name; in the unit it has there. */
const SHORTENED: Readonly<Record<string, string>> = {
  IDLE_TIMEOUT_MS: "3_000",
  LANE_LIFE_MS: "5_000",
  ANSWER_LIMIT_MS: "8_000",
  ANSWER_TIME_LIMIT_MS: "5_000",
  BODY_TIME_LIMIT_MS: "5_000",
  LEASE_MS: "12_000",
  REJOIN_MS: "3_000",
  ORDER_LOST_MS: "4_000",
  REASK_MS: "4_000",
  TELL_AGAIN_MS: "2_000",
  ALARM_MS: "5_000",
  WATCH_MS: "5_000",
  LONGEST_PAUSE_MS: "4_000",
  UNKNOWN_VERSION_DELAY_SECONDS: "3",
  FAILED_LANE_DELAY_SECONDS: "1",
};

/** Builds the Worker with those limits. */
export function shortenedLimits(): Plugin {
  return {
    name: "shortened time limits",
    setup(build) {
      const found = new Set<string>();
      build.onLoad({ filter: /\/src\/.*\.ts$/ }, async ({ path }) => {
        const contents = (await readFile(path, "utf8")).replace(
          /^((?:export )?const ([A-Z_]+) = )[^;\n]+;/gm,
          (line: string, start: string, name: string) => {
            const value = SHORTENED[name];
            if (value === undefined) {
              return line;
            }
            found.add(name);
            return `${start}${value};`;
          },
        );
        return { contents, loader: "ts" };
      });
      build.onEnd(() => {
        const missing = Object.keys(SHORTENED).filter((name) => !found.has(name));
        return { errors: missing.map((name) => ({ text: `there is no constant ${name} any more` })) };
      });
    },
  };
}

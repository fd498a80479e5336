/** Kills and evictions at moments drawn at random, for as long as copies are under way. */
import { integer, type Random } from "../sim/random.ts";
import { INDEX_NAME } from "../../src/ledger/contract.ts";
import { KILLS, sleep, type ChaosService } from "./service.ts";

export type Blow =
  | `restart ${(typeof KILLS)[number]}`
  | "kill lane"
  | "evict job"
  | "evict host"
  | "evict index"
  | "forget";

export interface BlowsOptions {
  service: ChaosService;
  random: Random;
  hosts: readonly string[];
  /** Ids of the copies under way. */
  jobs: () => readonly string[];
  /** Longest pause between two blows. */
  pauseMaxMs: number;
  /** Told of each blow when it has fallen; those that hit nothing do not count. */
  onBlow: (blow: Blow) => void;
}

const LEAST_PAUSE_MS = 50;

/** Ends soon after `signal`, with the service running. */
export async function deal(options: BlowsOptions, signal: AbortSignal): Promise<void> {
  const { service, random, hosts, jobs, pauseMaxMs, onBlow } = options;
  const pick = <T>(list: readonly T[]): T | undefined => list[integer(random, 0, list.length - 1)];
  while (!signal.aborted) {
    await sleep(integer(random, LEAST_PAUSE_MS, pauseMaxMs));
    const draw = random();
    if (draw < 0.15) {
      const kill = pick(KILLS) ?? "serve";
      await service.restart(kill, () => onBlow(`restart ${kill}`));
    } else if (draw < 0.25) {
      // As somebody does who has mended a registry. Chance resets would teach the service that it bears next to nothing.
      const host = pick(hosts) ?? "";
      await service.ask(`/v1/registries/${host}/learned`, { method: "DELETE" });
      onBlow("forget");
    } else if (draw < 0.55) {
      if (await service.door(`kill-lane?pick=${random()}`)) {
        onBlow("kill lane");
      }
    } else {
      const [kind, name] =
        draw < 0.75
          ? (["job", pick(jobs())] as const)
          : draw < 0.95
            ? (["host", pick(hosts)] as const)
            : (["index", INDEX_NAME] as const);
      if (name !== undefined && (await service.door(`evict?kind=${kind}&name=${encodeURIComponent(name)}`))) {
        onBlow(`evict ${kind}`);
      }
    }
  }
}

/** Many copies made by one service: started, followed, and each one's end kept. It reads no file and prints nothing itself. */
import type { CopyEvent, CopyView, TagView } from "../../job/contract.ts";
import type { GroupView } from "../../job/group/contract.ts";
import { copyIn } from "../../job/group/view.ts";
import { ServiceError, type Problem, type ServiceClient } from "../client.ts";
import type { ManyDisplay } from "../display/many.ts";
import type { PlannedCopy, SyncBody } from "../sync-file/contract.ts";
import { exitStatusOf, EXIT_WRONG_USE } from "../failure.ts";
import { allExplained, explained, NO_EXPLANATION, NO_LOOK, type Explain, type LookAt } from "../unreached/explain.ts";
import { gateOf, type Gate } from "./at-once.ts";
import { Lulls } from "./lull.ts";

/** What became of one copy. */
export interface Outcome {
  copy: PlannedCopy;
  /** Null: the service has not taken it, or was not asked. Without a last state: the command ended before the copy did. */
  view: CopyView | null;
  /** What became of each tag; null unless asked for. */
  results: TagView[] | null;
  /** Why the service has not taken it, or what else went wrong in asking for it. */
  problem: Problem | null;
}

export interface RunOptions {
  /** Copies that are started and have not ended; undefined: no bound, the service orders them. */
  parallel?: number;
  failFast?: boolean;
  /** Asks for each copy's tags at its end. */
  withResults?: boolean;
  /** Why a registry could not be reached; undefined: nobody can say. */
  explain?: Explain;
  /** The same of a registry that nothing has been heard of for a while. */
  lookAt?: LookAt;
}

/** Requests for copies under way: more do not make the service faster. */
const REQUESTS_AT_ONCE = 8;

/** Event streams open at once. A copy beyond it goes on all the same, and is heard of when one of these has ended. */
const FOLLOWED_AT_ONCE = 32;

export class SyncRun {
  readonly #client: ServiceClient;
  readonly #display: ManyDisplay;
  readonly #options: RunOptions;
  readonly #giveUp: AbortSignal;
  readonly #lulls: Lulls;
  readonly #started: Gate;
  readonly #asking: Gate = gateOf(REQUESTS_AT_ONCE);
  readonly #following: Gate = gateOf(FOLLOWED_AT_ONCE);
  /** Ids of copies that have not ended. */
  readonly #running = new Set<string>();
  /** How many copies are being asked for now, and how many of ours have ended. */
  #asked = 0;
  #ends = 0;
  /** Who waits for one of ours to end; told whether it is worth asking again. */
  #waiters: ((isWorthIt: boolean) => void)[] = [];
  /** By the list of targets that copies have in common. */
  readonly #groups = new Map<readonly string[], Promise<GroupView | null>>();
  #stopped = false;
  readonly #tally = { all: 0, done: 0, failed: 0 };

  /** @param giveUp When it is aborted nothing is waited for any longer. */
  constructor(client: ServiceClient, display: ManyDisplay, options: RunOptions, giveUp: AbortSignal) {
    this.#client = client;
    this.#display = display;
    this.#options = options;
    this.#giveUp = giveUp;
    this.#lulls = new Lulls(options.lookAt ?? NO_LOOK, (line) => display.say(line), giveUp);
    this.#started = gateOf(options.parallel ?? Number.POSITIVE_INFINITY);
  }

  /**
   * Makes the copies, and answers with what became of each, in their order.
   * @param onEnd Told of each end as it comes.
   * @throws ServiceError when the service cannot be asked for anything.
   */
  async all(copies: readonly PlannedCopy[], onEnd: (outcome: Outcome) => void): Promise<Outcome[]> {
    this.#tally.all = copies.length;
    this.#display.tally(this.#tally);
    return Promise.all(
      copies.map((copy, index) =>
        this.#started(async () => {
          const outcome = await this.#one(copy, index);
          const failed = outcome.view?.state !== "succeeded";
          this.#tally[failed ? "failed" : "done"] += 1;
          onEnd(outcome);
          this.#display.tally(this.#tally);
          if (failed && this.#options.failFast === true) {
            this.stop();
          }
          return outcome;
        }),
      ),
    );
  }

  /** Starts no more copies, and cancels those under way. */
  stop(): void {
    if (this.#stopped) {
      return;
    }
    this.#stopped = true;
    for (const id of this.#running) {
      this.#cancel(id);
    }
    this.#wake(true);
  }

  async #one(copy: PlannedCopy, index: number): Promise<Outcome> {
    const outcome: Outcome = { copy, view: null, results: null, problem: null };
    try {
      outcome.view = await this.#asking(() => this.#create(copy));
      if (outcome.view === null) {
        return outcome;
      }
      const accepted = outcome.view;
      try {
        outcome.view = await this.#following(async () => {
          using watch = this.#lulls.of(copy.body.source, copy.body.target);
          const heard = (event: CopyEvent): void => {
            watch.heard();
            this.#display.event(index, event.type === "state" ? event.data : accepted, event);
          };
          return await this.#client.follow(accepted.id, heard, this.#giveUp);
        });
      } finally {
        this.#running.delete(accepted.id);
        this.#ends += 1;
        this.#wake(true);
      }
      const { explain = NO_EXPLANATION, withResults } = this.#options;
      outcome.view = await explained(outcome.view, explain, this.#giveUp);
      if (withResults === true) {
        const tags = await this.#client.tags(accepted.id, this.#giveUp);
        outcome.results = await allExplained(tags, explain, this.#giveUp);
      }
    } catch (error) {
      if (this.#giveUp.aborted) {
        return outcome;
      }
      if (!(error instanceof ServiceError) || concernsAll(error.problem)) {
        this.stop();
        throw error;
      }
      outcome.problem = error.problem;
    }
    return outcome;
  }

  /** Null: the run has been stopped. */
  async #create(copy: PlannedCopy): Promise<CopyView | null> {
    for (;;) {
      if (this.#stopped) {
        return null;
      }
      const ends = this.#ends;
      this.#asked += 1;
      try {
        const view = (await this.#inGroup(copy)) ?? (await this.#client.create(copy.body, this.#giveUp));
        this.#asked -= 1;
        this.#running.add(view.id);
        if (this.#wasStopped()) {
          this.#cancel(view.id);
        }
        return view;
      } catch (error) {
        this.#asked -= 1;
        const isLimit = error instanceof ServiceError && error.problem.status === 429;
        if (!(await this.#hasRoom(isLimit, ends))) {
          throw error;
        }
      }
    }
  }

  /**
   * After a refusal: whether it is worth asking again. A limit of copies at once has room again when one of ours ends; which
   * of ours have the room may be heard of later than the refusal, and their end before it. Any other refusal stands.
   */
  async #hasRoom(isLimit: boolean, endsBefore: number): Promise<boolean> {
    if (isLimit && this.#ends !== endsBefore) {
      return true;
    }
    if (this.#running.size === 0 && this.#asked === 0) {
      // Nothing of ours is left that could make room for those who wait for it.
      this.#wake(false);
      return false;
    }
    return isLimit && new Promise((resolve) => this.#waiters.push(resolve));
  }

  /** The copy as one of those that are asked for together with it. Null: it is to be asked for alone. */
  async #inGroup({ body, alongside }: PlannedCopy): Promise<CopyView | null> {
    if (alongside === undefined || this.#options.parallel !== undefined) {
      return null;
    }
    const asked = this.#groups.get(alongside) ?? this.#askForGroup(body, alongside);
    this.#groups.set(alongside, asked);
    const group = await asked;
    const copy = group?.copies[alongside.indexOf(body.target)];
    return group === null || copy === undefined ? null : copyIn(group, copy);
  }

  /** Null: they are not taken together, for what may be wrong with one of them only, or for a limit of copies at once. */
  async #askForGroup({ target: _target, ...body }: SyncBody, targets: readonly string[]): Promise<GroupView | null> {
    try {
      return await this.#client.createGroup({ ...body, targets: [...targets] }, this.#giveUp);
    } catch (error) {
      const isRefusal = error instanceof ServiceError && [403, 422, 429].includes(error.problem.status);
      if (isRefusal) {
        return null;
      }
      throw error;
    }
  }

  #wasStopped(): boolean {
    return this.#stopped;
  }

  #cancel(id: string): void {
    // Unheard is as good as heard: an embedded service ends with the command, another one was asked.
    void this.#client.cancel(id, this.#giveUp).catch(() => undefined);
  }

  #wake(isWorthIt: boolean): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const wake of waiters) {
      wake(isWorthIt);
    }
  }
}

/** Whether the same would be said to every other copy. */
export function concernsAll(problem: Problem): boolean {
  const isConfiguration = problem.status >= 500 && exitStatusOf(problem) === EXIT_WRONG_USE;
  return problem.status === 0 || problem.status === 401 || isConfiguration;
}

/**
 * Runs a mix against one host under a clock of its own, with the real queue, policy, backoff and concurrency. The host
 * is a model: it takes time, and it may refuse.
 */
import { Backoff } from "../../src/host/backoff.ts";
import { Concurrency } from "../../src/host/concurrency.ts";
import { IndexedHeap } from "../../src/host/heap.ts";
import type { Placed } from "../../src/host/heap.ts";
import { MAX_WAIT_MS, nextSmall } from "../../src/host/policy.ts";
import type { Policy } from "../../src/host/policy.ts";
import { isSmall, WaitingQueue } from "../../src/host/queue.ts";
import type { Entry } from "../../src/host/queue.ts";
import { CONNECTION_SPEED, REQUEST_MS } from "./mixes.ts";
import type { Mix } from "./mixes.ts";
import type { Random } from "./random.ts";

export interface Host {
  /** Whether it takes one more request now, while it works on `active` others. */
  admits(now: number, active: number): boolean;
  /** Bytes per millisecond of a connection opened now. */
  speed(now: number): number;
  /** What it says in `Retry-After` of a refusal. */
  retryAfterMs?: number;
  /** A request that it refuses counts among those it works on until it has answered. */
  countsRefused?: boolean;
  /** With a refusal it breaks off whatever else is under way. */
  breaksOff?: boolean;
}

/** Takes everything, always at the same speed. */
export const STEADY_HOST: Host = { admits: () => true, speed: () => CONNECTION_SPEED };

export interface Setup {
  policy: Policy;
  /** As many slots, whatever happens; 0: they adapt to what the host bears. */
  slots: number;
  host?: Host;
  maxWaitMs?: number;
  random: Random;
}

/** One request as it went. Times in milliseconds since the start. */
export interface Run {
  entry: Entry;
  grantedAt: number;
  endedAt: number;
}

export interface History {
  runs: Run[];
  /** When a request was refused. */
  rejectedAt: number[];
  /** When nothing waited any more for the first time after everything had arrived. */
  drainedAt: number;
  /** Milliseconds that slots stood free while something waited. */
  idleMs: number;
}

/** A lane tells every so often how far its transfers are. */
const REPORT_MS = 5000;

function reportedBytes(elapsedMs: number, speed: number): number {
  const reportedMs = Math.floor(elapsedMs / REPORT_MS) * REPORT_MS;
  return Math.max(0, reportedMs - REQUEST_MS) * speed;
}

type Event = Placed & { at: number; order: number } & (
    | { what: "arrived"; entry: Entry }
    | { what: "answered"; entry: Entry; grantedAt: number; end: "ok" | "refused" | "broken" }
    | { what: "resumed" }
  );

/** Runs the mix to its end. */
export function simulate(mix: Mix, setup: Setup): History {
  const host = setup.host ?? STEADY_HOST;
  const queue = new WaitingQueue();
  const backoff = new Backoff();
  const concurrency = new Concurrency();
  const blobSlots = (): number => setup.slots || concurrency.blobSlots();
  const totalSlots = (): number => (setup.slots ? setup.slots + 1 : concurrency.totalSlots());
  const events = new IndexedHeap<Event>(0, (left, right) => left.at - right.at || left.order - right.order);
  const answers = new Map<string, Event>();
  const active = new Map<string, { entry: Entry; grantedAt: number; speed: number; sentAmong: number }>();
  const jobBytesLeft = new Map<string, number>();
  const sourceSpeeds = new Map<string, number>();
  const history: History = { runs: [], rejectedAt: [], drainedAt: 0, idleMs: 0 };
  let [order, now, bytesLeft, toCome, admitted] = [0, 0, 0, 0, 0];

  const moveBytes = (entry: Entry, bytes: number): void => {
    if (entry.kind !== "blob") {
      return;
    }
    bytesLeft += bytes;
    const left = (jobBytesLeft.get(entry.job) ?? 0) + bytes;
    jobBytesLeft.set(entry.job, left);
    queue.setJobBytesLeft(entry.job, left);
  };

  const answerAt = (at: number, entry: Entry, grantedAt: number, end: "ok" | "refused" | "broken"): void => {
    const event: Event = { at, order: order++, places: [], what: "answered", entry, grantedAt, end };
    events.insert(event);
    answers.set(entry.id, event);
  };

  const resumeAt = (at: number): void => events.insert({ at, order: order++, places: [], what: "resumed" });

  const breakOff = (): void => {
    for (const [id, event] of answers) {
      if (event.what === "answered" && event.end === "ok") {
        events.remove(event);
        answerAt(now, event.entry, active.get(id)?.grantedAt ?? now, "broken");
      }
    }
  };

  const send = (entry: Entry): void => {
    queue.remove(entry.id);
    backoff.sent(now);
    if (backoff.opensAt() > now) {
      resumeAt(backoff.opensAt());
    }
    const refused = !host.admits(now, admitted);
    if (!refused || host.countsRefused === true) {
      admitted++;
    }
    if (refused && host.breaksOff === true) {
      breakOff();
    }
    const speed = Math.min(host.speed(now), sourceSpeeds.get(entry.job) ?? Infinity);
    active.set(entry.id, { entry, grantedAt: now, speed, sentAmong: active.size + 1 });
    const at = now + REQUEST_MS + (refused ? 0 : entry.bytes / speed);
    answerAt(at, entry, now, refused ? "refused" : "ok");
  };

  const grant = (): void => {
    while (queue.size > 0 && now >= backoff.opensAt() && !(backoff.trial && active.size > 0)) {
      const situation = {
        now,
        slots: blobSlots(),
        active: [...active.values()].map(({ entry, grantedAt, speed }) => ({
          ...entry,
          movedBytes: reportedBytes(now - grantedAt, speed),
        })),
        bytesLeft,
        maxWaitMs: setup.maxWaitMs ?? MAX_WAIT_MS,
      };
      const entry =
        active.size < situation.slots
          ? setup.policy(queue, situation)
          : active.size < totalSlots()
            ? nextSmall(queue)
            : undefined;
      if (entry === undefined) {
        return;
      }
      send(entry);
    }
  };

  const answered = (event: Extract<Event, { what: "answered" }>): void => {
    const { entry, grantedAt, end } = event;
    const sentAmong = active.get(entry.id)?.sentAmong ?? active.size;
    const booking = { startedAt: grantedAt, active: active.size, sentAmong, small: isSmall(entry) };
    active.delete(entry.id);
    answers.delete(entry.id);
    if (end !== "refused" || host.countsRefused === true) {
      admitted--;
    }
    if (end !== "ok") {
      queue.add(entry);
      if (end === "refused") {
        history.rejectedAt.push(now);
        concurrency.refused(now, booking);
        backoff.throttled(now, host.retryAfterMs, setup.random(), grantedAt);
      } else {
        backoff.failed(now, setup.random(), grantedAt);
      }
      resumeAt(backoff.pausedUntil());
      return;
    }
    moveBytes(entry, -entry.bytes);
    concurrency.succeeded(now, queue.size > 0, booking);
    backoff.succeeded(now);
    history.runs.push({ entry, grantedAt, endedAt: now });
  };

  for (const { name, sourceSpeed, requests } of mix.images) {
    if (sourceSpeed !== undefined) {
      sourceSpeeds.set(name, sourceSpeed);
    }
    for (const { id, kind, bytes, arrivesAt } of requests) {
      const entry: Entry = { id, kind, bytes, job: name, since: arrivesAt };
      events.insert({ at: arrivesAt, order: order++, places: [], what: "arrived", entry });
      toCome++;
    }
  }

  for (let event = events.pop(); event !== undefined; event = events.pop()) {
    const elapsed = event.at - now;
    if (history.drainedAt === 0) {
      if (queue.size > 0) {
        history.idleMs += elapsed * Math.max(0, blobSlots() - active.size);
      }
    }
    now = event.at;
    if (event.what === "arrived") {
      toCome--;
      queue.add(event.entry);
      moveBytes(event.entry, event.entry.bytes);
    } else if (event.what === "answered") {
      answered(event);
    }
    // What happens at the same instant is seen as a whole before anything is granted.
    if (events.peek()?.at !== now) {
      grant();
    }
    if (history.drainedAt === 0 && toCome === 0 && queue.size === 0) {
      history.drainedAt = now;
    }
  }
  return history;
}

/**
 * Tells receivers of the ends of copies: one Durable Object per tenant. Every message is a row before it is sent, so each
 * is delivered at least once or is dead and listed. When it is sent again stands in policy.ts.
 */
import { DurableObject } from "cloudflare:workers";
import { notificationTargets, reachRefusal } from "../config.ts";
import type { Env } from "../env.ts";
import type { CopyView } from "../job/contract.ts";
import { writeLine } from "../log.ts";
import { migrate } from "../storage/migrations.ts";
import type { NotificationCounts, NotificationEntry, NotificationTarget, NotifierRpc } from "./contract.ts";
import { concerns, eventIdOf, eventOf, hasEnded } from "./event.ts";
import { type Due, Outbox, OUTBOX_STEPS } from "./outbox.ts";
import { judge } from "./policy.ts";
import { send } from "./send.ts";

/** An object may have six connections waiting for answers; a receiver that hangs leaves the others their share. */
const SENT_AT_ONCE = 6;
const SENT_AT_ONCE_TO_ONE = 2;

/** While settings are wrong nothing can be sent: a look once in a while, until they are mended. */
const WRONG_SETTINGS_PAUSE_MS = 60_000;

export class Notifier extends DurableObject<Env> implements NotifierRpc {
  readonly #outbox: Outbox;
  readonly #sending = new Map<string, { receiver: string; done: Promise<void> }>();

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    migrate(ctx.storage, OUTBOX_STEPS);
    this.#outbox = new Outbox(ctx.storage.sql);
  }

  async ended(copy: CopyView): Promise<void> {
    if (!hasEnded(copy)) {
      return;
    }
    const now = Date.now();
    const receivers = notificationTargets(this.env).filter((receiver) => concerns(receiver, copy));
    if (receivers.length === 0) {
      return;
    }
    const event = eventIdOf(copy.id);
    const body = JSON.stringify(eventOf(copy, now));
    const messages = receivers.map(({ name }) => ({ event, receiver: name, copy: copy.id, state: copy.state, body }));
    this.ctx.storage.transactionSync(() => this.#outbox.put(copy.id, messages, now));
    this.#pump();
    await this.#setAlarm();
  }

  async list(query: Parameters<NotifierRpc["list"]>[0]): ReturnType<NotifierRpc["list"]> {
    return this.#outbox.list(query.state, query.limit, query.cursor);
  }

  async counts(): Promise<NotificationCounts> {
    return this.#outbox.counts();
  }

  async retry(id: string): Promise<NotificationEntry | null> {
    const revived = this.#outbox.revive(id, Date.now());
    this.#pump();
    await this.#setAlarm();
    return revived;
  }

  async discard(id: string): Promise<boolean> {
    return this.#outbox.discard(id);
  }

  /** Sends what is due. Ends only after all of it, so that nothing is cut off while it is under way. */
  override async alarm(): Promise<void> {
    this.#pump();
    await this.#setAlarm();
    while (this.#sending.size > 0) {
      await Promise.all([...this.#sending.values()].map(({ done }) => done));
    }
    await this.#setAlarm();
  }

  /** Starts whatever is due, as far as there are places. */
  #pump(): void {
    let receivers: readonly NotificationTarget[];
    try {
      receivers = notificationTargets(this.env);
    } catch {
      // Whoever asks the service anything is told what is wrong with its settings.
      return;
    }
    this.#outbox.giveUpOthers(receivers.map(({ name }) => name));
    const underWay = ({ name }: NotificationTarget) =>
      [...this.#sending.values()].filter(({ receiver }) => receiver === name).length;
    for (const receiver of receivers.toSorted((a, b) => underWay(a) - underWay(b))) {
      const places = Math.min(SENT_AT_ONCE - this.#sending.size, SENT_AT_ONCE_TO_ONE - underWay(receiver));
      for (const due of places > 0 ? this.#outbox.take(receiver.name, places, Date.now()) : []) {
        const done = this.#deliver(due, receiver);
        this.#sending.set(due.id, { receiver: receiver.name, done });
        this.ctx.waitUntil(done);
      }
    }
  }

  async #deliver(due: Due, receiver: NotificationTarget): Promise<void> {
    const attempt = await send(due, receiver, {
      // A method call would hand fetch a `this` that it refuses.
      fetch: (url, init) => fetch(url, init),
      now: Date.now,
      refusalOf: (url) => reachRefusal(this.env, url),
      log: writeLine,
    });
    const verdict = judge(attempt, due.attempts, Date.now(), Math.random());
    this.#sending.delete(due.id);
    if (verdict.kind === "delivered") {
      this.#outbox.delivered(due.id);
    } else if (verdict.kind === "again") {
      this.#outbox.again(due.id, verdict.atMs, verdict.reason);
    } else {
      this.#outbox.dead(due.id, verdict.reason);
      writeLine({ msg: "notification is dead", id: due.id, reason: verdict.reason }, "error");
    }
    this.#pump();
    await this.#setAlarm();
  }

  /** The one place where the alarm is set: for the first message that is due; an earlier one stays. */
  async #setAlarm(): Promise<void> {
    const nextMs = this.#outbox.nextAtMs();
    const setMs = await this.ctx.storage.getAlarm();
    // One that is due and was not taken has no place yet, or the settings are wrong.
    if (nextMs === null) {
      await this.ctx.storage.deleteAlarm();
      return;
    }
    const atMs = nextMs > Date.now() ? nextMs : Date.now() + WRONG_SETTINGS_PAUSE_MS;
    if (setMs === null || setMs > atMs) {
      await this.ctx.storage.setAlarm(atMs);
    }
  }
}

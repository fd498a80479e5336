/**
 * The local queue as a bad day of Cloudflare's: some messages come twice, some late and so out of order, some never, and
 * beside some comes one that an earlier or later version of the Worker would have sent. One line in the log for each.
 */
import { Broker as PlainBroker } from "../../src/cli/broker/broker.ts";
import { integer, seeded, type Random } from "../sim/random.ts";

export { default } from "../../src/cli/broker/broker.ts";

/** Put in by the build. */
declare const CHAOS_SEED: number;

const TWICE_SHARE = 0.12;
const LATE_SHARE = 0.1;
const LOST_SHARE = 0.03;
const FOREIGN_SHARE = 0.04;
const LATEST_SECONDS = 3;

type Arguments = ConstructorParameters<typeof PlainBroker>;

export class Broker extends PlainBroker {
  readonly #random: Random;

  constructor(context: Arguments[0], env: Arguments[1]) {
    super(context, env);
    // Every start goes on with other numbers, and every run of one seed with the same.
    const starts = (context.storage.kv.get<number>("chaos-starts") ?? 0) + 1;
    context.storage.kv.put("chaos-starts", starts);
    this.#random = seeded(CHAOS_SEED + starts);
  }

  override async fetch(request: Request): Promise<Response> {
    const { pathname } = new URL(request.url);
    if (pathname !== "/message" && pathname !== "/batch") {
      return super.fetch(request);
    }
    const sent = pathname === "/message" ? [await request.text()] : textsOf(await request.json());
    const messages = sent.flatMap((text) => this.#fateOf(text));
    const bodies = messages.map(({ text, delaySecs }) => ({ body: btoa(text), contentType: "json", delaySecs }));
    return super.fetch(
      new Request("http://broker/batch", { method: "POST", body: JSON.stringify({ messages: bodies }) }),
    );
  }

  #fateOf(text: string): { text: string; delaySecs: number }[] {
    const late = integer(this.#random, 1, LATEST_SECONDS);
    const draw = this.#random();
    const foreign = this.#random() < FOREIGN_SHARE ? [{ text: this.#foreign(text), delaySecs: 0 }] : [];
    if (draw < TWICE_SHARE) {
      note("twice");
      return [{ text, delaySecs: 0 }, { text, delaySecs: this.#random() < 0.5 ? 0 : late }, ...foreign];
    }
    if (draw < TWICE_SHARE + LATE_SHARE) {
      note("late");
      return [{ text, delaySecs: late }, ...foreign];
    }
    if (draw < TWICE_SHARE + LATE_SHARE + LOST_SHARE) {
      note("lost");
      return foreign;
    }
    return [{ text, delaySecs: 0 }, ...foreign];
  }

  /** An order as no Worker of this version sends it. */
  #foreign(text: string): string {
    note("of another version");
    const order: Record<string, unknown> = JSON.parse(text);
    const others = [{ ...order, v: 0 }, { ...order, v: 2, kind: "lane" }, { blob: order["host"] }, order["lane"]];
    return JSON.stringify(others[integer(this.#random, 0, others.length - 1)]);
  }
}

function textsOf(batch: { messages: { body: string }[] }): string[] {
  return batch.messages.map(({ body }) => atob(body));
}

function note(message: string): void {
  console.log(JSON.stringify({ chaos: "message", message }));
}

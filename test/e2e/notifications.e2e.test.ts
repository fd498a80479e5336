/** The end of a copy, told by a running service to a receiver that checks it. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { scrape } from "../api/exposition.ts";
import { KEY, type Receiver, startReceiver } from "../notify/support.ts";
import { Home, type Running, until } from "./command.ts";

describe("under `drayage serve`", () => {
  let home: Home;
  let receiver: Receiver;
  /** Has nothing, so that every copy from it fails. */
  let registry: Receiver;
  let serve: Running;
  let url: string;
  let token: string;

  beforeEach(async () => {
    [home, receiver, registry] = await Promise.all([Home.create(), startReceiver(), startReceiver()]);
    registry.replies.splice(0, 1, { status: 404 });
    const config = join(home.folder, "config.toml");
    await writeFile(
      config,
      `record_days = 7\n[[notifications]]\nname = "ops"\nurl = "${receiver.url}"\nevents = ["failed"]\n`,
    );
    home.env["DRAYAGE_NOTIFICATION_SECRETS"] = JSON.stringify({ ops: `whsec_${KEY}` });
    serve = home.spawn("serve", "--port", "0", "--config", config);
    url = await serve.printed(/listens on (http:[\d./:]+)/);
    token = await serve.printed(/^(drayage_\S+)$/m);
  });
  afterEach(async () => {
    await serve[Symbol.asyncDispose]();
    await Promise.all([home[Symbol.asyncDispose](), receiver.close(), registry.close()]);
  });

  async function ask(path: string, body?: object): Promise<string> {
    const answer = await fetch(`${url}${path}`, {
      method: body === undefined ? "GET" : "POST",
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    expect(answer.ok, text).toBe(true);
    return text;
  }

  test("a receiver hears of a copy that failed, signed, and the service knows that it has", async () => {
    const { host } = new URL(registry.url);
    const made: { id: string } = JSON.parse(
      await ask("/v1/copies", { source: `${host}/a/b:1`, target: `${host}/c/d:1` }),
    );
    await until("a message", () => receiver.received[0]);
    const [message] = receiver.received;
    expect(message?.genuine).toBe(true);
    expect(JSON.parse(message?.body ?? "")).toMatchObject({
      specversion: "1.0",
      id: message?.id,
      type: "dev.drayage.copy.failed",
      subject: made.id,
      data: { id: made.id, state: "failed", asked: { by: "root", how: "api" }, error: { code: "not_found" } },
    });
    const counts = await until("its count", async () => {
      const seen: { counts: { delivered: number } } = JSON.parse(await ask("/v1/notifications"));
      return seen.counts.delivered > 0 ? seen.counts : undefined;
    });
    expect(counts).toEqual({ pending: 0, dead: 0, delivered: 1, refused: 0 });
    const samples = scrape(await ask("/metrics"));
    expect(samples).toContainEqual(
      expect.objectContaining({ name: "drayage_notifications_delivered_total", value: 1 }),
    );
  });
});

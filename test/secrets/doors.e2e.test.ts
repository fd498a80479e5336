/**
 * What lets others in and what tells them is as secret as what lets the service in elsewhere: keys, the addresses of hooks
 * and their secrets, the addresses and keys of receivers. All are markers here, and everything that the service shows, sends,
 * logs or keeps of rules, deliveries, keys and messages is searched for them.
 */
import { randomUUID } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { Home, until } from "../e2e/command.ts";
import { seed } from "../faults/seed.ts";
import { startReceiver } from "../notify/support.ts";
import { startRegistry } from "../registry-server/server.ts";
import { singleImage } from "../support/sample-image.ts";
import { filesIn } from "./files.ts";
import { startMarkingRegistry } from "./marking-registry.ts";

const REPOSITORY = "plain/openname";
const RULE = "openrule";

it("no key, hook or receiver gives its secret away, whatever becomes of what came by it", async () => {
  await using stack = new AsyncDisposableStack();
  const home = stack.use(await Home.create());
  const login = { user: "mover", password: `mark-password-${randomUUID()}` };
  const [innerSource, innerTarget] = [stack.use(await startRegistry()), stack.use(await startRegistry())];
  const source = stack.use(await startMarkingRegistry(innerSource, login));
  const target = stack.use(await startMarkingRegistry(innerTarget, login));
  await home.login({ [source.host]: login, [target.host]: login });
  const image = singleImage({ seed: "doors", tag: "v1", layerBytes: [2_000] });
  seed(innerSource, REPOSITORY, image);

  const receiver = await startReceiver();
  stack.defer(() => receiver.close());
  const hookSecret = `mark-hook-${randomUUID()}`;
  const receiverKey = Buffer.from(`mark-key-${randomUUID()}`).toString("base64");
  const receiverQuery = `mark-query-${randomUUID()}`;
  const given = [hookSecret, receiverKey, Buffer.from(receiverKey, "base64").toString(), receiverQuery];
  const config = join(home.folder, "config.toml");
  await writeFile(config, `[[notifications]]\nname = "ops"\nurl = "${receiver.url}?to=${receiverQuery}"\n`);
  home.env["DRAYAGE_HOOK_SECRETS"] = JSON.stringify({ registry: hookSecret });
  home.env["DRAYAGE_NOTIFICATION_SECRETS"] = JSON.stringify({ ops: `whsec_${receiverKey}` });

  const shown = new Map<string, string>();
  const state = join(home.folder, ".local/state/drayage");
  const serve = home.spawn("serve", "--port", "0", "--verbose", "--config", config);
  try {
    const url = await serve.printed(/listens on (http:[\d./:]+)/);
    const token = (await readFile(join(state, "token"), "utf8")).trim();
    const ask = async (
      path: string,
      init: { method?: string; body?: object; token?: string } = {},
    ): Promise<Response> =>
      fetch(`${url}${path}`, {
        method: init.method ?? (init.body === undefined ? "GET" : "POST"),
        headers: { authorization: `Bearer ${init.token ?? token}`, "content-type": "application/json" },
        ...(init.body === undefined ? {} : { body: JSON.stringify(init.body) }),
      });
    const show = async (path: string, init: Parameters<typeof ask>[1] = {}): Promise<string> => {
      const answer = await ask(path, init);
      const headers = JSON.stringify([...answer.headers]);
      shown.set(`${init.method ?? ""} ${path} ${answer.status} ${shown.size}`, headers + (await answer.clone().text()));
      return answer.text();
    };

    // A key, and an address: both are shown this once.
    const everything = { sources: ["**"], targets: ["**"], actions: ["copy", "read", "rules", "hooks", "registries"] };
    const made: { key: string } = JSON.parse(
      await (await ask("/v1/keys", { body: { name: "marked", scopes: everything } })).text(),
    );
    const rule = {
      source: `${source.host}/plain/**`,
      target: `${target.host}/mirror/{repository}`,
      push: { sender: "generic", secrets: ["registry"], headers: [{ name: "x-door", secret: "registry" }] },
    };
    const put: { address: string } = JSON.parse(
      await (await ask(`/v1/rules/${RULE}`, { method: "PUT", body: rule, token: made.key })).text(),
    );
    const markers = [...given, made.key, put.address.slice(-32)];

    // Deliveries that are believed, that are not, and that are lost.
    const deliver = async (address: string, headers: Record<string, string>, body: string): Promise<Response> => {
      const answer = await fetch(address, { method: "POST", headers, body });
      shown.set(`delivery ${answer.status} ${shown.size}`, await answer.clone().text());
      return answer;
    };
    const pushed = JSON.stringify({ image: `${source.host}/${REPOSITORY}:v1`, extra: hookSecret });
    const proof = { "x-webhook-secret": hookSecret, "x-door": hookSecret };
    const statuses = [
      (await deliver(`${put.address}?secret=${hookSecret}`, proof, pushed)).status,
      (await deliver(put.address, { authorization: `Bearer ${hookSecret}x` }, pushed)).status,
      (await deliver(put.address, proof, `{"not": ${hookSecret}`)).status,
      (await deliver(`${put.address}x`, proof, pushed)).status,
    ];
    expect(statuses).toEqual([202, 401, 400, 404]);
    const ended = () =>
      until("the run's end", async () => {
        const { runs }: { runs: { state: string; copy: string }[] } = JSON.parse(
          await (await ask(`/v1/rules/${RULE}/runs`)).text(),
        );
        return runs.every(({ state: at }) => at === "succeeded" || at === "failed") ? runs : undefined;
      });
    await ended();
    target.refusal = "token";
    await deliver(put.address, proof, JSON.stringify({ image: `${source.host}/${REPOSITORY}:v2` }));
    const [failed] = await ended();
    expect(failed?.state).toBe("failed");
    await until("two messages", () => (receiver.received.length >= 2 ? true : undefined));
    // The registry does not list its repositories.
    await ask(`/v1/rules/${RULE}/run`, { method: "POST" });
    await ended();

    for (const path of [
      "/metrics",
      `/v1/doctor?registry=${encodeURIComponent(target.host)}`,
      "/v1/notifications",
      "/v1/rules",
      `/v1/rules/${RULE}`,
      `/v1/rules/${RULE}/runs`,
      "/v1/keys",
      "/v1/copies",
      `/v1/copies/${failed?.copy ?? ""}`,
      `/v1/copies/${failed?.copy ?? ""}/events`,
      "/v1/registries",
      "/openapi.json",
      `/v1/rules/${RULE}?x=1`,
      "/v1/nothing",
    ]) {
      await show(path);
    }
    // What is refused repeats nothing of what was shown to it.
    await show("/v1/copies", { token: `${made.key}x` });
    await show("/v1/copies", {
      body: { source: `https://${login.user}:${login.password}@${source.host}/a`, target: "" },
    });
    await show(`/v1/rules/${RULE}`, { method: "PUT", body: { ...rule, push: { secrets: ["none"] } } });
    for (const { body } of receiver.received) {
      shown.set(`message ${shown.size}`, body);
    }
    for (const [path, bytes] of await filesIn(state)) {
      shown.set(`${path} while it runs`, bytes.toString("latin1"));
    }
    await serve[Symbol.asyncDispose]();
    const { stdout, stderr } = await serve.ended;
    shown.set("output of serve", stdout + stderr);
    for (const [path, bytes] of await filesIn(state)) {
      shown.set(path, bytes.toString("latin1"));
    }
    const secrets = [...markers, ...source.markers, ...target.markers];
    const found = [...shown].flatMap(([where, text]) =>
      secrets
        .filter((marker) => text.includes(marker) && !isTheUploadsState(where, marker))
        .map((marker) => `${marker} in ${where}: ${text.slice(text.indexOf(marker) - 80, text.indexOf(marker) + 80)}`),
    );
    expect(found).toEqual([]);
  } finally {
    await serve[Symbol.asyncDispose]();
  }
  // What is no secret is found, so that the search is known to work.
  const isOpen = (where: RegExp): boolean =>
    [...shown].some(([name, text]) => where.test(name) && (text.includes(RULE) || text.includes(REPOSITORY)));
  const places = [
    /\.sqlite$/,
    /^message/,
    /output of serve/,
    /\/runs 200/,
    /\/v1\/rules 200/,
    /\/events 200/,
    /^delivery 202/,
  ];
  expect(places.filter((where) => !isOpen(where))).toEqual([]);
});

/** Written down for the lane that may have to go on with it (docs/storage.md). */
function isTheUploadsState(where: string, marker: string): boolean {
  return marker.startsWith("mark-state-") && where.includes("/RegistryHost/");
}

/** Looks at a checkout before it is deployed: whether wrangler.toml has what the Worker needs. Pure but for reading files. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse, TomlError } from "smol-toml";
import { fail, ok, warn, type Finding } from "../../doctor/contract.ts";
import { settingsFindings } from "../../doctor/settings.ts";

/** The Durable Object classes by binding. */
const CLASSES: Readonly<Record<string, string>> = {
  JOBS: "CopyJob",
  REGISTRIES: "RegistryHost",
  INDEX: "CopyIndex",
  NOTIFIER: "Notifier",
  GROUPS: "CopyGroup",
};

const QUEUE_BINDING = "LANES";

/** Without it a request to an address of one's own zone would not pass that zone's protection. */
const STRICT_FLAG = "global_fetch_strictly_public";

/** What must never stand in a file that is committed. */
const SECRETS: readonly string[] = ["DOCKER_CONFIG", "REGISTRY_CREDENTIALS", "HOOK_SECRETS", "NOTIFICATION_SECRETS"];

/** A key of the right form, for settings that are judged where the real one cannot be seen. */
const STAND_IN_KEY = `whsec_${Buffer.alloc(32).toString("base64")}`;

type Table = Record<string, unknown>;

/** Everything that the folder's wrangler.toml tells. */
export function checkoutFindings(folder: string): Finding[] {
  const path = join(folder, "wrangler.toml");
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch {
    return [fail("wrangler.toml", `${path} cannot be read.`, "Run this in a checkout of Drayage, or name its folder.")];
  }
  return wranglerFindings(text);
}

/** @param text Of a wrangler.toml. */
export function wranglerFindings(text: string): Finding[] {
  let file: Table;
  try {
    file = parse(text);
  } catch (error) {
    const where = error instanceof TomlError ? `line ${error.line}, column ${error.column}` : "somewhere";
    return [fail("wrangler.toml", `It cannot be read: wrong syntax at ${where}.`, "Mend it there.")];
  }
  return [entry(file), ...objects(file), ...queues(file), schedule(file), log(file), ...settings(table(file["vars"]))];
}

function entry(file: Table): Finding {
  const flags = list(file["compatibility_flags"]);
  if (typeof file["main"] !== "string" || typeof file["compatibility_date"] !== "string") {
    return fail("worker", "main or compatibility_date is missing.", "Take both from the wrangler.toml of the release.");
  }
  return flags.includes(STRICT_FLAG)
    ? ok("worker", `${file["main"]}, compatibility date ${file["compatibility_date"]}.`)
    : fail("worker", `The compatibility flag ${STRICT_FLAG} is missing.`, `compatibility_flags = ["${STRICT_FLAG}"]`);
}

function objects(file: Table): Finding[] {
  const bound = new Map(
    list(table(file["durable_objects"])["bindings"]).map((each) => [table(each)["name"], table(each)["class_name"]]),
  );
  const migrations = list(file["migrations"]).map(table);
  const made = migrations.flatMap((step) => list(step["new_sqlite_classes"]));
  const madeWithout = migrations.flatMap((step) => list(step["new_classes"]));
  const found = Object.entries(CLASSES).flatMap(([name, className]) => {
    if (bound.get(name) !== className) {
      return [
        fail(
          "durable objects",
          `The binding ${name} of the class ${className} is missing.`,
          `Add { name = "${name}", class_name = "${className}" } to durable_objects.bindings.`,
        ),
      ];
    }
    if (madeWithout.includes(className)) {
      return [
        fail(
          "migrations",
          `${className} is made without SQLite, which it needs.`,
          "Name it under new_sqlite_classes instead.",
        ),
      ];
    }
    return made.includes(className)
      ? []
      : [
          fail(
            "migrations",
            `No migration makes the class ${className}.`,
            `Append a migration with a new tag and new_sqlite_classes = ["${className}"]; never change an old one.`,
          ),
        ];
  });
  const tags = migrations.map((step) => step["tag"]);
  const isUnique = new Set(tags).size === tags.length;
  return [
    ...(found.length === 0
      ? [ok("durable objects", `All are bound and made: ${Object.values(CLASSES).join(", ")}.`)]
      : found),
    ...(isUnique ? [] : [fail("migrations", "Two migrations have the same tag.", "Give each a tag of its own.")]),
  ];
}

function queues(file: Table): Finding[] {
  const { producers, consumers } = table(file["queues"]);
  const queue = list(producers)
    .map(table)
    .find((each) => each["binding"] === QUEUE_BINDING)?.["queue"];
  if (typeof queue !== "string") {
    return [
      fail(
        "queue",
        `The producer ${QUEUE_BINDING} is missing.`,
        `Add { binding = "${QUEUE_BINDING}", queue = "drayage-lanes" } to queues.producers.`,
      ),
    ];
  }
  const consumer = list(consumers)
    .map(table)
    .find((each) => each["queue"] === queue);
  if (consumer === undefined) {
    return [fail("queue", `Nobody reads the queue ${queue}.`, `Add a consumer of "${queue}" to queues.consumers.`)];
  }
  const dead = consumer["dead_letter_queue"];
  const names = [queue, ...(typeof dead === "string" ? [dead] : [])];
  return [
    ok(
      "queue",
      `${queue} is written and read. Make what is not there: ${names.map((name) => `wrangler queues create ${name}`).join(", ")}.`,
    ),
    consumer["max_batch_size"] === 1
      ? ok("queue batches", "One work order each.")
      : warn(
          "queue batches",
          "Several work orders share one invocation, and its six connections.",
          "max_batch_size = 1",
        ),
    typeof dead === "string"
      ? ok("dead letters", `They go to ${dead}.`)
      : warn(
          "dead letters",
          "Work orders that fail again and again vanish.",
          'dead_letter_queue = "drayage-lanes-dead"',
        ),
  ];
}

function schedule(file: Table): Finding {
  return list(table(file["triggers"])["crons"]).length > 0
    ? ok("cron", "It rings for the schedules of rules.")
    : warn(
        "cron",
        "There is none: schedules depend on the index's own alarm alone.",
        'crons = ["* * * * *"] under [triggers]',
      );
}

function log(file: Table): Finding {
  const logs = table(table(file["observability"])["logs"]);
  return logs["invocation_logs"] === false
    ? ok("log", "Addresses of requests stay out of it.")
    : warn(
        "log",
        "It may hold the addresses of webhooks, which are secrets.",
        "observability = { enabled = true, logs = { enabled = true, invocation_logs = false } }",
      );
}

/** The settings under `[vars]`, as the service would read them, and the secrets that they call for. */
function settings(vars: Table): Finding[] {
  const exposed = SECRETS.filter((name) => name in vars);
  const receivers = list(vars["NOTIFICATIONS"]).map(table);
  const keys = receivers
    .map((receiver) => receiver["secret"] ?? receiver["name"])
    .filter((name) => typeof name === "string");
  const read = settingsFindings(
    {
      ...vars,
      LOCAL: "false",
      ...(keys.length === 0
        ? {}
        : { NOTIFICATION_SECRETS: Object.fromEntries(keys.map((name) => [name, STAND_IN_KEY])) }),
    },
    false,
  ).filter(({ name }) => name === "settings" || name === "access" || name === "notifications");
  const admits = list(vars["TOKENS"]).length > 0 || list(vars["OIDC"]).length > 0 || "ACCESS" in vars;
  const wanted = [
    "DOCKER_CONFIG or REGISTRY_CREDENTIALS (registries that are not public)",
    ...(keys.length === 0 ? [] : [`NOTIFICATION_SECRETS (keys for ${[...new Set(keys)].join(", ")})`]),
    "HOOK_SECRETS (rules whose webhooks prove themselves)",
  ];
  return [
    ...read,
    ...(admits
      ? []
      : [
          fail(
            "tokens",
            "Nobody is let in.",
            'Make a token with `drayage token`, and put its hash into TOKENS = ["sha256:…"].',
          ),
        ]),
    ...exposed.map((name) =>
      fail(
        "secrets",
        `${name} stands in wrangler.toml, for all to read.`,
        `Take it out, and \`wrangler secret put ${name}\`; change what it held.`,
      ),
    ),
    ...("LOCAL" in vars
      ? [fail("reach", "LOCAL is set: a deployed service must not reach private networks.", "Take it out of [vars].")]
      : []),
    warn(
      "secrets",
      `They cannot be seen from here: ${wanted.join("; ")}.`,
      "Put those that you need with `wrangler secret put NAME`; after the deploy, `drayage doctor --server URL` sees them.",
    ),
  ];
}

function table(value: unknown): Table {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? { ...value } : {};
}

function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

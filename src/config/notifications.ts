/**
 * NOTIFICATIONS and NOTIFICATION_SECRETS: who is told of the ends of copies, and with which keys that is signed. Pure. Never
 * repeats a secret, nor an address, which may be one.
 */
import * as z from "zod";
import { formatPattern, readPattern } from "../access/pattern.ts";
import { END_STATES, type NotificationTarget } from "../notify/contract.ts";
import { checked, isGiven, parsed, type Reading } from "./checking.ts";
import { SECRET_NAME } from "./hook-secrets.ts";

/** Each end of a copy makes a row for each receiver. */
const MAX_RECEIVERS = 20;
const MAX_PATTERNS = 50;
/** Standard Webhooks, "Signature scheme": a key has between 24 and 64 bytes. */
const KEY_BYTES = { least: 24, most: 64 };
const KEY_FIX =
  "is not a key of Standard Webhooks: whsec_ and 24 to 64 random bytes in base64, as of `openssl rand -base64 32`";

const pattern = z.string("text is needed").transform((text, context) => {
  const read = readPattern(text);
  if (!("fault" in read)) {
    return formatPattern(read);
  }
  context.addIssue(`${JSON.stringify(text.slice(0, 100))} ${read.fault}`);
  return z.NEVER;
});

const patterns = z
  .array(pattern, 'a list of patterns is needed, such as ["ghcr.io/acme/**"]')
  .min(1, "fits no copy, so that nothing would be told; leave it out for every copy")
  .max(MAX_PATTERNS, `use at most ${MAX_PATTERNS}`)
  .optional();

const nameText = z
  .string("text is needed")
  .regex(SECRET_NAME, "1 to 64 letters, digits, dots, hyphens and underscores are needed");

const ReceiverFields = {
  name: nameText,
  url: z.string("an address is needed, such as https://hooks.example.com/drayage"),
  events: z
    .array(z.enum(END_STATES, `use ${END_STATES.join(", ")}`), `a list of ${END_STATES.join(", ")} is needed`)
    .min(1, "names no end, so that nothing would be told; leave it out for all")
    .optional(),
  sources: patterns,
  targets: patterns,
  secret: nameText.optional(),
};

const Receivers = z
  .array(
    z.strictObject(ReceiverFields, "the receiver's settings are needed, such as { name, url }"),
    "a list of receivers is needed, each with name and url",
  )
  .max(MAX_RECEIVERS, `use at most ${MAX_RECEIVERS}`);

const keyText = z.string("text is needed").transform((text, context) => {
  // With all its padding or none, and never one character too many: anything else is no base64 to whoever signs.
  const key = /^whsec_((?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}(?:==)?|[A-Za-z0-9+/]{3}=?)?)$/.exec(text)?.[1];
  const bytes = key === undefined ? 0 : Math.floor((key.replaceAll("=", "").length * 3) / 4);
  if (key !== undefined && bytes >= KEY_BYTES.least && bytes <= KEY_BYTES.most) {
    return key;
  }
  context.addIssue(KEY_FIX);
  return z.NEVER;
});

const Secrets = z.record(
  z.string().regex(SECRET_NAME, "a name of 1 to 64 letters, digits, dots, hyphens and underscores is needed"),
  z.union([keyText.transform((key) => [key]), z.array(keyText).min(1, "is empty")], KEY_FIX),
  'an object of keys by name is needed, such as {"ops": "whsec_..."}',
);

/**
 * @param local Plain HTTP may be used.
 * @returns The receivers, each with its keys; the complaints name what is wrong.
 */
export function readNotifications(
  given: unknown,
  givenSecrets: unknown,
  local: boolean,
): Reading<readonly NotificationTarget[]> {
  const complaints: string[] = [];
  const hints = {
    known: Object.keys(ReceiverFields),
    elsewhere: { type: "it is called events", filter: "use sources and targets" },
  };
  const receivers = isGiven(given) ? checked(Receivers, "NOTIFICATIONS", parsed(given), complaints, hints) : [];
  const secrets = isGiven(givenSecrets)
    ? checked(Secrets, "NOTIFICATION_SECRETS", parsed(givenSecrets), complaints)
    : {};
  const keysByName = new Map(Object.entries(secrets ?? {}));
  const names = new Set<string>();
  const value = (receivers ?? []).flatMap((receiver, index): NotificationTarget[] => {
    const { name, url, events, sources, targets, secret = name } = receiver;
    const place = `NOTIFICATIONS[${index}]`;
    const keys = keysByName.get(secret);
    const faults = [
      names.has(name) ? `${place}.name: ${name} is there twice; each receiver has a name of its own` : null,
      addressFault(url, local, place),
      secrets !== undefined && keys === undefined
        ? `${place}.secret: NOTIFICATION_SECRETS has no ${JSON.stringify(secret)}; put it there with \`wrangler secret put NOTIFICATION_SECRETS\``
        : null,
    ].filter((fault) => fault !== null);
    names.add(name);
    complaints.push(...faults);
    return faults.length > 0 || keys === undefined
      ? []
      : [{ name, url, events: events ?? END_STATES, sources: sources ?? null, targets: targets ?? null, keys }];
  });
  return { value, complaints };
}

function addressFault(text: string, local: boolean, place: string): string | null {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || !/^https?:$/.test(url.protocol)) {
    return `${place}.url: is not an address such as https://hooks.example.com/drayage`;
  }
  if (url.protocol === "http:" && !local) {
    return `${place}.url: is plain HTTP; write https://`;
  }
  if (url.username !== "" || url.password !== "") {
    return `${place}.url: must not hold a password; every message is signed instead`;
  }
  return null;
}

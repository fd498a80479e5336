import { describe, expect, test } from "vitest";
import { recordDays, settingsOf } from "../../src/config.ts";
import { readNotifications } from "../../src/config/notifications.ts";

const key = Buffer.alloc(32, 1).toString("base64");
const secrets = { ops: `whsec_${key}` };
const receiver = { name: "ops", url: "https://hooks.example.com/path" };

test("receivers come with their keys, and are told of everything unless they say less", () => {
  expect(readNotifications([receiver], secrets, false)).toEqual({
    value: [{ ...receiver, events: ["succeeded", "failed", "cancelled"], sources: null, targets: null, keys: [key] }],
    complaints: [],
  });
});

test("both settings may be JSON text, keys may be several, and a key may be named", () => {
  const given = [{ ...receiver, name: "other", secret: "ops", events: ["failed"], sources: ["alpine.example/**"] }];
  const { value, complaints } = readNotifications(
    JSON.stringify(given),
    JSON.stringify({ ops: [`whsec_${key}`, `whsec_${Buffer.alloc(24, 2).toString("base64")}`] }),
    false,
  );
  expect(complaints).toEqual([]);
  expect(value).toMatchObject([{ name: "other", events: ["failed"], sources: ["alpine.example/**"] }]);
  expect(value[0]?.keys).toHaveLength(2);
});

test("nobody is told when nothing is set", () => {
  expect(readNotifications(undefined, undefined, false)).toEqual({ value: [], complaints: [] });
});

const marker = "mark-secret";

describe("wrong settings are told by field, with the fix, and never with a key or an address", () => {
  test.each<[string, unknown, unknown, RegExp]>([
    ["no list", "x y", secrets, /^NOTIFICATIONS: is not JSON/],
    ["no address", [{ name: "ops" }], secrets, /NOTIFICATIONS\[0\]\.url: an address is needed/],
    ["plain HTTP", [{ ...receiver, url: `http://hooks.example.com/${marker}` }], secrets, /\[0\]\.url: is plain HTTP/],
    ["another scheme", [{ ...receiver, url: `ftp://${marker}` }], secrets, /\[0\]\.url: is not an address/],
    ["a password", [{ ...receiver, url: `https://u:${marker}@h.example/` }], secrets, /must not hold a password/],
    [
      "an unknown end",
      [{ ...receiver, events: ["started"] }],
      secrets,
      /events\[0\]: use succeeded, failed, cancelled/,
    ],
    ["no end at all", [{ ...receiver, events: [] }], secrets, /names no end/],
    ["a wrong pattern", [{ ...receiver, sources: ["acme"] }], secrets, /sources\[0\]: "acme" must name host/],
    ["a misspelt field", [{ ...receiver, event: [] }], secrets, /\.event: unknown field; did you mean events\?/],
    ["a name twice", [receiver, receiver], secrets, /\[1\]\.name: ops is there twice/],
    ["no key", [receiver], {}, /NOTIFICATION_SECRETS has no "ops"/],
    [
      "no key, under a name that every object knows",
      [{ ...receiver, name: "constructor" }],
      {},
      /has no "constructor"/,
    ],
    ["no keys at all", [receiver], undefined, /wrangler secret put NOTIFICATION_SECRETS/],
    ["a key without its beginning", [receiver], { ops: `${marker}${key}` }, /NOTIFICATION_SECRETS\.ops/],
    [
      "a key that is too short",
      [receiver],
      { ops: `whsec_${btoa(marker)}` },
      /NOTIFICATION_SECRETS\.ops: is not a key/,
    ],
    [
      "a key with a character too many",
      [receiver],
      { ops: `whsec_${"A".repeat(33)}` },
      /NOTIFICATION_SECRETS\.ops: is not a key/,
    ],
    [
      "a key with too much padding",
      [receiver],
      { ops: `whsec_${"A".repeat(43)}==` },
      /NOTIFICATION_SECRETS\.ops: is not a key/,
    ],
  ])("%s", (_name, given, givenSecrets, words) => {
    const { complaints } = readNotifications(given, givenSecrets, false);
    expect(complaints.join("\n")).toMatch(words);
    expect(complaints.join("\n")).not.toContain(marker);
    expect(() => settingsOf({ NOTIFICATIONS: given, NOTIFICATION_SECRETS: givenSecrets })).toThrow(words);
  });

  test("plain HTTP is good enough on one's own machine", () => {
    const local = [{ ...receiver, url: "http://127.0.0.1:9999/" }];
    expect(readNotifications(local, secrets, true).complaints).toEqual([]);
  });
});

test.each<[unknown, number]>([
  [undefined, 30],
  ["", 30],
  [7, 7],
  ["365", 365],
])("records are kept, with RECORD_DAYS %o, for %i days", (given, days) => {
  expect(recordDays({ RECORD_DAYS: given })).toBe(days);
});

test.each([0, -1, 1.5, 99_999, "soon", true, []])("RECORD_DAYS may not be %o", (given) => {
  expect(() => settingsOf({ RECORD_DAYS: given })).toThrow(/RECORD_DAYS: a whole number of days from 1 to 3650/);
});

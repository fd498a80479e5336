/** From the body of `PUT /v1/rules/{name}` to a rule that can be kept: everything that is wrong is said at once, by field. */
import { formatPattern, readPattern } from "../access/pattern.ts";
import type { Principal } from "../access/contract.ts";
import { widenings } from "../access/scopes.ts";
import { hookSecrets, reachRefusal, settingsOf, type SettingsEnv } from "../config.ts";
import { claimsThatTell } from "../config/identity.ts";
import { parseMoment } from "../copy/moment.ts";
import type { HookSettings, RulePlan, Schedule, TargetTemplate } from "../sync/contract.ts";
import { describeRuleFaults } from "../sync/rule-faults.ts";
import { describeScheduleFaults } from "../sync/schedule.ts";
import { readTarget, targetPattern } from "../sync/target.ts";
import { choicesOf } from "./copy-choices.ts";
import { invalidFields, Problem, type FieldError } from "./problem.ts";
import type { RuleBody } from "./rule-schemas.ts";

export interface ReadRule {
  plan: RulePlan;
  push: { from: string } | { settings: HookSettings } | null;
}

/**
 * @throws Problem 422 with everything that is wrong.
 * @throws CopyError `configuration` when settings are wrong.
 */
export function ruleOf(body: RuleBody, env: SettingsEnv, nowMs: number): ReadRule {
  settingsOf(env);
  const errors: FieldError[] = [];
  const source = sourceOf(body.source, env, errors);
  const target = targetOf(body.target, env, errors);
  const { tags, ...choices } = choicesOf({ ...body, source: "", target: "" }, nowMs, true, errors);
  const { newerThanMs: _now, ...selection } = tags ?? {};
  const schedule = scheduleOf(body.schedule, nowMs, errors);
  const push = pushOf(body.push, env, errors);
  const newerThan = body.tags?.newer_than;
  if (errors.length === 0 && source !== null && target !== null) {
    const plan: RulePlan = {
      source,
      target,
      choices: { ...choices, ...(tags === undefined ? {} : { tags: selection }) },
      newerThan: newerThan === undefined || parseMoment(newerThan, nowMs) === null ? null : newerThan,
      priority: body.priority ?? "normal",
      schedule,
    };
    errors.push(...describeRuleFaults(plan, push !== null, nowMs));
    if (errors.length === 0) {
      return { plan, push };
    }
  }
  throw invalidFields(errors);
}

/**
 * A rule does nothing that whoever writes it could not do.
 * @throws Problem 403
 */
export function refuseBeyond(principal: Principal, { plan, push }: ReadRule): void {
  const wanted = {
    sources: [plan.source],
    targets: [formatPattern(targetPattern(plan.target))],
    actions: [
      "copy" as const,
      ...(plan.choices.prune === undefined ? [] : ["prune" as const]),
      ...(push === null ? [] : ["hooks" as const]),
    ],
  };
  const sides: Readonly<Record<string, string>> = { "scopes.sources": "source", "scopes.targets": "target" };
  const errors = widenings(principal.scopes, wanted).map(({ field, message }) => {
    const side = sides[field];
    return side === undefined
      ? { field: "", message }
      : {
          field: side,
          message: `goes beyond the ${side}s of ${principal.name}, with whose scopes its copies are made`,
        };
  });
  if (errors.length > 0) {
    const detail = errors.map(({ field, message }) => (field === "" ? message : `${field} ${message}`)).join("\n");
    throw new Problem("forbidden", detail, { errors });
  }
}

function sourceOf(text: string, env: SettingsEnv, errors: FieldError[]): string | null {
  const fail = (message: string): null => {
    errors.push({ field: "source", message });
    return null;
  };
  const pattern = readPattern(text);
  if ("fault" in pattern) {
    return fail(pattern.fault);
  }
  if (text.includes("@")) {
    return fail("names a digest; a rule is about repositories");
  }
  if (/:[^/]*$/.test(text.slice(text.indexOf("/")))) {
    return fail("names a tag; leave it out, and choose tags with tags.include");
  }
  const [host = ""] = pattern.elements;
  const refusal = host.includes("*") ? null : reachRefusal(env, host);
  return refusal === null ? formatPattern(pattern) : fail(`the host ${host} ${refusal}`);
}

function targetOf(text: string, env: SettingsEnv, errors: FieldError[]): TargetTemplate | null {
  const target = readTarget(text);
  const refusal = "fault" in target ? null : reachRefusal(env, target.host);
  if ("fault" in target || refusal !== null) {
    errors.push({
      field: "target",
      message: "fault" in target ? target.fault : `the host ${target.host} ${refusal ?? ""}`,
    });
    return null;
  }
  return target;
}

function scheduleOf(body: RuleBody["schedule"], nowMs: number, errors: FieldError[]): Schedule | null {
  if (body === undefined) {
    return null;
  }
  const schedule = { cron: body.cron, timeZone: body.time_zone };
  const faults = describeScheduleFaults(schedule, nowMs);
  errors.push(...faults.map(({ field, message }) => ({ field: `schedule.${field}`, message })));
  return faults.length === 0 ? schedule : null;
}

function pushOf(body: RuleBody["push"], env: SettingsEnv, errors: FieldError[]): ReadRule["push"] {
  if (body === undefined) {
    return null;
  }
  const { with: from, ...settings } = body;
  if (from !== undefined) {
    const { sender, ...others } = settings;
    const beside = [...Object.keys(others), ...(sender === "auto" ? [] : ["sender"])];
    if (beside.length > 0) {
      const message = `takes the deliveries of another rule, which says how they are read; leave out ${beside.join(", ")}`;
      errors.push({ field: "push.with", message });
    }
    return { from };
  }
  const known = hookSecrets(env);
  const named = [
    ...(settings.secrets ?? []).map((name, at) => ({ field: `push.secrets.${at}`, name })),
    ...(settings.headers ?? []).map(({ secret }, at) => ({ field: `push.headers.${at}.secret`, name: secret })),
  ];
  for (const { field, name } of named.filter((each) => !known.has(each.name))) {
    errors.push({ field, message: `there is no secret ${name} in HOOK_SECRETS; set it there first` });
  }
  errors.push(...openTokens(settings.token));
  const refusal = settings.token === undefined ? null : reachRefusal(env, new URL(settings.token.jwksUrl));
  if (refusal !== null) {
    errors.push({ field: "push.token.jwksUrl", message: refusal });
  }
  return { settings };
}

/** Whoever can have a token for any audience must be told apart by a claim, or the check would let everybody in. */
function openTokens(token: HookSettings["token"]): FieldError[] {
  for (const issuer of token?.issuers ?? []) {
    const telling = claimsThatTell(issuer);
    if (telling !== null && !telling.some((claim) => token?.claims?.[claim] !== undefined)) {
      const message = `anybody can have a token of ${issuer}; name whose are meant by one of ${telling.join(", ")}`;
      return [{ field: "push.token.claims", message }];
    }
  }
  return [];
}

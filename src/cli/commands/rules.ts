/** `drayage rules apply | list | run | runs | rotate | delete`: asks a service, shows its answer, says what went wrong. */
import { isDeepStrictEqual } from "node:util";
import { ServiceError, type Problem, type ServiceClient } from "../client.ts";
import { UsageError } from "../failure.ts";
import { asking, type AskingOptions, notThisService, segment, tableText } from "./asking.ts";
import type { CommandIo } from "./io.ts";
import { readRuleFile } from "./rule-file.ts";

export interface ApplyOptions extends AskingOptions {
  prune?: true;
  yes?: true;
  dryRun?: true;
}

export interface RunOptions extends AskingOptions {
  source?: string;
}

/** Whether a person says yes; null: there is nobody to ask. */
export type Confirm = (question: string) => Promise<boolean | null>;

type Outcome = "created" | "changed" | "unchanged" | "deleted";

interface Step {
  name: string;
  outcome: Outcome;
  /** Fields that differ. */
  fields: string[];
}

/** What is shown of a rule; the service's answer has more. */
interface RuleView {
  name: string;
  version: number;
  rule: Record<string, unknown>;
  next: { at: string } | null;
  lastRun: { state: string } | null;
  /** Missing: the service is older than this command. */
  open?: { waiting: number; running: number; waitingUntil: string | null };
}

const SIGNS: Readonly<Record<Outcome, string>> = { created: "+", changed: "~", unchanged: "=", deleted: "-" };

export function applyRulesCommand(
  file: string,
  options: ApplyOptions,
  io: CommandIo,
  confirm: Confirm,
): Promise<number> {
  return asking(options, io, async (client, signal) => {
    const wanted = await readRuleFile(file, io);
    const known = await allRules(client, signal);
    const plan = await planOf(client, wanted, known, options.prune === true, AbortSignal.timeout(MANY_PATIENCE_MS));
    if (options.json !== true) {
      io.stderr.write(plan.map(lineOf).join(""));
    }
    const toDo = plan.filter(({ outcome }) => outcome !== "unchanged");
    if (toDo.length === 0 || options.dryRun === true) {
      return { answer: { plan, applied: false }, text: "", remark: toDo.length === 0 ? "Nothing to change.\n" : "" };
    }
    if (options.yes !== true) {
      const said = options.json === true ? null : await confirm(`Change ${toDo.length} of them? [y/N] `);
      if (said === null) {
        throw new UsageError(
          "--yes",
          "Nothing is changed: add --yes to do what the plan says, or --dry-run to only see it.",
        );
      }
      if (!said) {
        return { answer: { plan, applied: false }, text: "", remark: "Nothing is changed.\n" };
      }
    }
    const addresses = await applied(client, toDo, wanted, known, AbortSignal.timeout(MANY_PATIENCE_MS));
    const text = Object.entries(addresses).map(([name, address]) => `${name}  ${address}\n`);
    return {
      answer: { plan, applied: true, addresses },
      text: text.join(""),
      remark:
        text.length === 0
          ? "Done.\n"
          : "Done. These addresses are for the registries' webhooks; they are not shown again.\n",
    };
  });
}

export function listRulesCommand(options: AskingOptions, io: CommandIo): Promise<number> {
  return asking(options, io, async (client, signal) => {
    const rules = [...(await allRules(client, signal)).values()];
    const rows = rules.map(({ name, version, rule, next, open, lastRun }) => [
      name,
      String(version),
      triggersOf(rule),
      String(rule["source"]),
      String(rule["target"]),
      lastRun?.state ?? "-",
      openText(open),
      next?.at.slice(0, 16).replace("T", " ") ?? "-",
    ]);
    const text = tableText([
      ["NAME", "VERSION", "TRIGGERS", "SOURCE", "TARGET", "LAST RUN", "OPEN", "NEXT (UTC)"],
      ...rows,
    ]);
    return {
      answer: { rules },
      text: rules.length === 0 ? "" : text,
      remark: rules.length === 0 ? "There are no rules.\n" : "",
    };
  });
}

/** Runs that have not ended, in a word or two: "3 waiting, 1 running". */
function openText(open: RuleView["open"]): string {
  const { waiting = 0, running = 0, waitingUntil = null } = open ?? {};
  const until = waitingUntil === null ? "" : ` (until ${waitingUntil.slice(0, 16).replace("T", " ")})`;
  const words = [
    ...(waiting === 0 ? [] : [`${waiting} waiting${until}`]),
    ...(running === 0 ? [] : [`${running} running`]),
  ];
  return words.join(", ") || "-";
}

export function runRuleCommand(name: string, options: RunOptions, io: CommandIo): Promise<number> {
  return asking(options, io, async (client, signal) => {
    const body = options.source === undefined ? {} : { source: options.source };
    const started = await client.ask("POST", `${pathOf(name)}/run`, signal, body);
    if (!isStarted(started)) {
      throw notThisService();
    }
    const { copy, source, target, outcome } = started;
    const what = outcome === "joined" ? "One like it waits already" : "Started";
    const remark = `${what}: ${source.reference} to ${target.reference}\n`;
    return copy === null
      ? {
          answer: started,
          text: "",
          remark: `${remark}The registry is asked for its repositories: drayage rules runs ${name}\n`,
        }
      : { answer: started, text: `${copy}\n`, remark };
  });
}

export function listRunsCommand(name: string, options: AskingOptions, io: CommandIo): Promise<number> {
  return asking(options, io, async (client, signal) => {
    const page = await client.ask("GET", `${pathOf(name)}/runs`, signal);
    if (!isRunPage(page)) {
      throw notThisService();
    }
    const rows = page.runs.map(({ times, trigger, state, events, copy, target, reason }) => [
      times.at.slice(0, 19).replace("T", " "),
      trigger,
      state,
      String(events),
      copy ?? "-",
      target.reference,
      reason ?? "",
    ]);
    const text = tableText([["AT (UTC)", "TRIGGER", "STATE", "EVENTS", "COPY", "TARGET", "REASON"], ...rows]);
    return {
      answer: page,
      text: rows.length === 0 ? "" : text,
      remark: rows.length === 0 ? "It has not run yet.\n" : "",
    };
  });
}

export function rotateRuleCommand(name: string, options: AskingOptions, io: CommandIo): Promise<number> {
  return asking(options, io, async (client, signal) => {
    const rotated = await client.ask("POST", `${pathOf(name)}/rotate`, signal);
    const address = addressIn(rotated);
    if (address === null || !isRule(rotated)) {
      throw notThisService();
    }
    return { answer: rotated, text: `${address}\n`, remark: "It is not shown again; the old one leads nowhere now.\n" };
  });
}

export function deleteRuleCommand(name: string, options: AskingOptions, io: CommandIo): Promise<number> {
  return asking(options, io, async (client, signal) => {
    await client.ask("DELETE", pathOf(name), signal);
    return { answer: { deleted: name }, text: "", remark: `Deleted: ${name}. Its copies under way go on.\n` };
  });
}

/** Many rules are checked, and then written, one after the other. */
const MANY_PATIENCE_MS = 300_000;

/** Has the service check every rule before any is written, and say what would become of it. */
async function planOf(
  client: ServiceClient,
  wanted: ReadonlyMap<string, object>,
  known: ReadonlyMap<string, RuleView>,
  prune: boolean,
  signal: AbortSignal,
): Promise<Step[]> {
  const steps: Step[] = [];
  const problems: Problem[] = [];
  for (const [name, rule] of wanted) {
    try {
      const answer = await client.ask("PUT", `${pathOf(name)}?dry_run=true`, signal, rule);
      if (!isRule(answer) || !("outcome" in answer) || !isOutcome(answer.outcome)) {
        throw notThisService();
      }
      steps.push({ name, outcome: answer.outcome, fields: differing(known.get(name)?.rule ?? {}, answer.rule) });
    } catch (error) {
      if (!(error instanceof ServiceError) || error.problem.status < 400 || error.problem.status >= 500) {
        throw error;
      }
      if (isOnlyAhead(error.problem, rule, wanted)) {
        steps.push({ name, outcome: known.has(name) ? "changed" : "created", fields: [] });
      } else {
        problems.push(placed(error.problem, name));
      }
    }
  }
  const [first] = problems;
  if (first !== undefined) {
    const errors = problems.flatMap((problem) => problem.errors ?? []);
    const detail = problems.map((problem) => problem.detail).join("\n");
    throw new ServiceError({ ...first, detail, errors });
  }
  const gone = prune ? [...known.keys()].filter((name) => !wanted.has(name)) : [];
  return [...steps, ...gone.map((name) => ({ name, outcome: "deleted" as const, fields: [] }))];
}

/** Whether all that is wrong is that it listens at the address of a rule which the same file is about to make. */
function isOnlyAhead(problem: Problem, rule: object, wanted: ReadonlyMap<string, object>): boolean {
  const from = withOf(rule);
  const isAbout = problem.errors?.length === 1 && problem.errors[0]?.field === "push.with";
  const other = from === null ? undefined : wanted.get(from);
  return isAbout && other !== undefined && "push" in other && withOf(other) === null;
}

function placed(problem: Problem, name: string): Problem {
  const errors = (problem.errors ?? []).map(({ field, message }) => ({ field: `rules.${name}.${field}`, message }));
  const lines = errors.map(({ field, message }) => `${field}: ${message}`);
  return { ...problem, errors, detail: lines.length === 0 ? `rules.${name}: ${problem.detail}` : lines.join("\n") };
}

/** Addresses are made before others listen there, and nobody listens any more before they go. Answers with the new ones. */
async function applied(
  client: ServiceClient,
  steps: readonly Step[],
  wanted: ReadonlyMap<string, object>,
  known: ReadonlyMap<string, RuleView>,
  signal: AbortSignal,
): Promise<Record<string, string>> {
  const addresses: Record<string, string> = {};
  const listens = ({ name }: Step) => withOf(wanted.get(name) ?? known.get(name)?.rule ?? {}) !== null;
  const written = steps.filter(({ outcome }) => outcome !== "deleted");
  for (const { name } of [...written.filter((step) => !listens(step)), ...written.filter(listens)]) {
    const address = addressIn(await client.ask("PUT", pathOf(name), signal, wanted.get(name) ?? {}));
    if (address !== null) {
      addresses[name] = address;
    }
  }
  const deleted = steps.filter(({ outcome }) => outcome === "deleted");
  for (const { name } of [...deleted.filter(listens), ...deleted.filter((step) => !listens(step))]) {
    await client.ask("DELETE", pathOf(name), signal);
  }
  return addresses;
}

async function allRules(client: ServiceClient, signal: AbortSignal): Promise<Map<string, RuleView>> {
  const rules = new Map<string, RuleView>();
  for (let cursor: string | null = ""; cursor !== null;) {
    const query: string = cursor === "" ? "" : `?cursor=${encodeURIComponent(cursor)}`;
    const page = await client.ask("GET", `/v1/rules${query}`, signal);
    if (!isPage(page)) {
      throw notThisService();
    }
    for (const rule of page.rules) {
      rules.set(rule.name, rule);
    }
    cursor = page.next;
  }
  return rules;
}

function lineOf({ name, outcome, fields }: Step): string {
  const which = outcome === "changed" && fields.length > 0 ? ` (${fields.join(", ")})` : "";
  return `${SIGNS[outcome]} ${name}  ${outcome}${which}\n`;
}

function differing(before: Record<string, unknown>, after: Record<string, unknown>): string[] {
  const names = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...names].filter((name) => !isDeepStrictEqual(before[name], after[name]));
}

function triggersOf(rule: Record<string, unknown>): string {
  const triggers = ["push", "schedule"].filter((name) => rule[name] !== undefined);
  const text = triggers.length === 0 ? "manual" : triggers.join(",");
  return rule["enabled"] === false ? `${text} (off)` : text;
}

function pathOf(name: string): string {
  return `/v1/rules/${segment(name, "NAME")}`;
}

function withOf(rule: object): string | null {
  const push: unknown = "push" in rule ? rule.push : null;
  return typeof push === "object" && push !== null && "with" in push && typeof push.with === "string"
    ? push.with
    : null;
}

function addressIn(answer: unknown): string | null {
  const has = typeof answer === "object" && answer !== null && "address" in answer;
  return has && typeof answer.address === "string" ? answer.address : null;
}

function isOutcome(value: unknown): value is Outcome {
  return typeof value === "string" && value in SIGNS;
}

function isRule(value: unknown): value is RuleView {
  return typeof value === "object" && value !== null && "rule" in value && "version" in value && "lastRun" in value;
}

function isPage(value: unknown): value is { rules: RuleView[]; next: string | null } {
  return (
    typeof value === "object" && value !== null && "rules" in value && Array.isArray(value.rules) && "next" in value
  );
}

interface StartedView {
  outcome: string;
  copy: string | null;
  source: { reference: string };
  target: { reference: string };
}

function isStarted(value: unknown): value is StartedView {
  return typeof value === "object" && value !== null && "copy" in value && "source" in value && "target" in value;
}

interface RunView {
  times: { at: string };
  trigger: string;
  state: string;
  events: number;
  copy: string | null;
  target: { reference: string };
  reason: string | null;
}

function isRunPage(value: unknown): value is { runs: RunView[] } {
  return typeof value === "object" && value !== null && "runs" in value && Array.isArray(value.runs);
}

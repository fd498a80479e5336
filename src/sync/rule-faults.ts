/** What is wrong with a rule as a whole, beyond each field for itself: what its triggers cannot do, and circles. Pure. */
import { inPattern, readPattern } from "../access/pattern.ts";
import { namesDigest } from "../copy/templates.ts";
import { errorDetailOf } from "../registry/errors.ts";
import type { RulePlan } from "./contract.ts";
import { onlySource } from "./expand.ts";
import { dependsOnRepository, fillTarget } from "./target.ts";

export interface Fault {
  field: string;
  message: string;
}

/** Every fault, as ends of sentences that begin with the field. */
export function describeRuleFaults(plan: RulePlan, hasPush: boolean, nowMs: number): Fault[] {
  const faults: Fault[] = [];
  const isPattern = onlySource(plan) === null;
  if (isPattern && !dependsOnRepository(plan.target)) {
    faults.push({ field: "target", message: "gives several repositories one name; have {repository} or {name} in it" });
  }
  if (plan.schedule !== null && !namesHost(plan)) {
    const message =
      "needs a source with one host, which is asked for its repositories; write a rule for each host, or leave the " +
      "schedule out and rely on pushes";
    faults.push({ field: "schedule", message });
  }
  if (hasPush) {
    faults.push(...pushFaults(plan));
  }
  return [...faults, ...circleFaults(plan, hasPush || (isPattern && plan.schedule !== null), nowMs)];
}

/** Whether a registry can be asked for the repositories that the source means: its host has no wildcard. */
export function namesHost({ source }: Pick<RulePlan, "source">): boolean {
  return !source.slice(0, source.indexOf("/")).includes("*") && source.includes("/");
}

/** Why a look through the source's registry would copy its own copies, deeper each time; null: it would not. */
export function describeCircle(plan: RulePlan, nowMs: number): string | null {
  return circleFaults(plan, true, nowMs)[0]?.message ?? null;
}

/** A push brings one tag: what compares it with others cannot be told. */
function pushFaults({ choices, newerThan, schedule }: RulePlan): Fault[] {
  const alone =
    "compares the tags of a repository, and a push brings one; have it in a rule with a schedule and no push";
  const needsSchedule = "is for whole repositories; a push copies one tag, so it needs a schedule too";
  const { tags, targetTag, prune, failFast } = choices;
  return [
    ...(tags?.latest === undefined ? [] : [{ field: "tags.latest", message: alone }]),
    ...(newerThan === null ? [] : [{ field: "tags.newer_than", message: alone }]),
    ...(targetTag !== undefined && namesDigest(targetTag)
      ? [{ field: "target_tag", message: "has a digest in it, which is not known when a push arrives; use {tag}" }]
      : []),
    ...(prune !== undefined && schedule === null ? [{ field: "prune", message: needsSchedule }] : []),
    ...(failFast !== undefined && schedule === null ? [{ field: "fail_fast", message: needsSchedule }] : []),
  ];
}

/** Copies that lie in the rule's own source would each start the next one, deeper and deeper. */
function circleFaults({ source, target, choices }: RulePlan, startsItself: boolean, nowMs: number): Fault[] {
  const pattern = readPattern(source);
  const [host = "", ...components] = "fault" in pattern ? [] : pattern.elements;
  const sample = {
    host: host.replaceAll("*", "x"),
    repository: components.map((element) => (element === "**" ? "x/x" : element.replaceAll("*", "x"))).join("/"),
  };
  try {
    const at = fillTarget(target, sample, nowMs);
    if ("fault" in pattern || !inPattern(at, pattern)) {
      return [];
    }
    const isItself = at.host === sample.host && at.repository === sample.repository;
    if (isItself && choices.targetTag === undefined) {
      return [{ field: "target", message: "is the source itself; give another repository or host, or a target_tag" }];
    }
    const message = "lies within the rule's own source, so that each copy would start another; give another place";
    return startsItself ? [{ field: "target", message }] : [];
  } catch (thrown) {
    return [{ field: "target", message: errorDetailOf(thrown).message }];
  }
}

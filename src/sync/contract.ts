/** What a rule is once it has been read: plain data, kept in a row, enough to make copies from. */
import type { CopyRequest } from "../copy/request.ts";
import type { HookSettings } from "./hook-settings.ts";

export type { HookSettings };

/** Which copies wait for which: those to the left go first. */
export const PRIORITIES = ["interactive", "normal", "background"] as const;

export type Priority = (typeof PRIORITIES)[number];

/** What can start a copy of a rule. */
export type Trigger = "push" | "schedule" | "manual";

export interface RulePlan {
  /** Pattern over repositories in its one spelling (`access/pattern.ts`); never with a tag. */
  source: string;
  target: TargetTemplate;
  /** What every copy is asked for. `tags.newerThanMs` is not set: it is reckoned from `newerThan` when a copy starts. */
  choices: Omit<CopyRequest, "source" | "target">;
  /** As `copy/moment.ts` reads it; null: not set. */
  newerThan: string | null;
  priority: Priority;
  schedule: Schedule | null;
}

/** Where copies go: a registry host, and a template for the repository. */
export interface TargetTemplate {
  host: string;
  repository: string;
}

export interface Schedule {
  /** Minute, hour, day of month, month, day of week; or `@daily` and the like. */
  cron: string;
  /** Of the IANA database. */
  timeZone: string;
}

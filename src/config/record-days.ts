/** RECORD_DAYS: how long the record of a copy is kept. Pure. */
import * as z from "zod";
import { checked, isGiven, type Reading } from "./checking.ts";

/** Long enough to ask what happened last month. */
const DEFAULT_DAYS = 30;
const MAX_DAYS = 3_650;
const FIX = `a whole number of days from 1 to ${MAX_DAYS} is needed`;

const Days = z
  .union(
    [
      z.number(),
      z
        .string()
        .regex(/^[0-9]{1,4}$/)
        .transform(Number),
    ],
    FIX,
  )
  .pipe(z.int(FIX).min(1, FIX).max(MAX_DAYS, FIX));

/** Reads RECORD_DAYS: a number, or the same as text. */
export function readRecordDays(given: unknown): Reading<number> {
  const complaints: string[] = [];
  const days = isGiven(given) ? checked(Days, "RECORD_DAYS", given, complaints) : DEFAULT_DAYS;
  return { value: days ?? DEFAULT_DAYS, complaints };
}

import type { Reference } from "../registry/reference.ts";

/** A copy as asked for, after the schema and the references have been checked. */
export interface CopyRequest {
  source: Reference;
  target: Reference;
  /** Nobody waits for it: it leaves the reserve of a host's quota to others. */
  background?: boolean;
}

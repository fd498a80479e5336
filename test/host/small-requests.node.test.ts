/** Small requests of callers whose sessions break. */
import { expect, test } from "vitest";
import { RecordedHost } from "./recorded-host.ts";

test("one that is asked for again over a new session is answered again, and does not end with the old session", () => {
  const host = new RecordedHost({ reqConcurrent: 1 });
  host.joinJob("old");
  host.request("a", { session: "old" });
  host.joinJob("new");
  host.request("a", { session: "new" });
  expect(host.admitted).toEqual(["a", "a"]);
  host.scheduler.leave("old", host.now);
  expect(host.scheduler.active().head).toBe(1);
  host.scheduler.leave("new", host.now);
  expect(host.scheduler.active().head).toBe(0);
});

test("one that still waits then is not refused with the old session", () => {
  const host = new RecordedHost({ reqConcurrent: 1 });
  host.request("busy");
  host.joinJob("old");
  host.request("a", { session: "old" });
  host.request("a", { session: "new" });
  host.scheduler.leave("old", host.now);
  expect(host.refused).toEqual([]);
  host.release("busy");
  expect(host.admitted).toEqual(["busy", "a"]);
});

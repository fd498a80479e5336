/** How long a lane waits for more at a host where nothing waits for it. */
import { describe, expect, test } from "vitest";
import { LINGER_MS, ORDER_LOST_MS } from "../../src/host/seats.ts";
import { RecordedHost } from "./recorded-host.ts";

/** A host with one idle seat, while these jobs are at it. */
function idleHost(...jobs: string[]): RecordedHost {
  const host = new RecordedHost();
  for (const job of jobs) {
    host.joinJob(job);
  }
  host.joinLane("lane", 1);
  return host;
}

describe("a lane with nothing to do", () => {
  test("lingers, since a job may read on", () => {
    const host = idleHost("job");
    host.pass(LINGER_MS - 1);
    expect(host.sentHome).toHaveLength(0);
    host.pass(1);
    expect(host.sentHome).toHaveLength(1);
  });

  test("goes home when the last job has gone and takes back what it wanted, in whichever order", () => {
    const host = idleHost("job");
    host.scheduler.leave("job", host.now);
    expect(host.sentHome).toHaveLength(0);
    host.scheduler.withdraw("job", host.now);
    expect(host.sentHome).toHaveLength(1);
    const other = idleHost("job");
    other.scheduler.withdraw("job", other.now);
    expect(other.sentHome).toHaveLength(0);
    other.scheduler.leave("job", other.now);
    expect(other.sentHome).toHaveLength(1);
  });

  test("lingers while another job is here, and once one has come", () => {
    const host = idleHost("job", "other");
    host.scheduler.leave("job", host.now);
    host.scheduler.withdraw("job", host.now);
    expect(host.sentHome).toHaveLength(0);
    const empty = new RecordedHost();
    empty.scheduler.withdraw("job", empty.now);
    empty.joinJob("next");
    empty.joinLane("lane", 1);
    expect(empty.sentHome).toHaveLength(0);
  });

  test("takes what is offered by a job that is not here yet", () => {
    const host = new RecordedHost();
    host.scheduler.withdraw("job", host.now);
    host.offer("next");
    host.joinLane("lane", 2);
    expect(host.transfers).toHaveLength(1);
    expect(host.sentHome).toHaveLength(0);
  });
});

test("a work order that nobody takes up is not told of for ever", () => {
  const host = new RecordedHost();
  host.offer("blob");
  host.scheduler.withdraw("j", host.now);
  host.pass(ORDER_LOST_MS - 1);
  expect(host.scheduler.lanes(host.now)).toEqual({ joined: 0, ordered: 1 });
  host.pass(1);
  expect(host.scheduler.lanes(host.now)).toEqual({ joined: 0, ordered: 0 });
});

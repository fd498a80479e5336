/** Whom a source offers its slots to, going by what borrowers say of their room. */
import { describe, expect, test } from "vitest";
import { Exchanges } from "../../src/host/exchanges.ts";
import { RecordedHost } from "./recorded-host.ts";

const UNUSED = { class: "unused" } as const;

const loan = (id: string) => ({
  id,
  borrower: "there",
  job: "k",
  bytes: 1_000,
  jobBytesLeft: 1_000,
  since: 0,
  starving: false,
});

describe("a source with one slot, for which two blobs of one borrower wait", () => {
  /** It has just offered the slot for the first of them. */
  function offering(room: number): RecordedHost {
    const source = new RecordedHost({ reqConcurrent: 1 });
    source.request("busy");
    source.exchange({ room, requests: [loan("first"), loan("second")] });
    source.release("busy");
    expect(source.lent.map(({ id }) => id)).toEqual(["first"]);
    return source;
  }

  test("offers nothing more once the borrower has said that it is full, until that tells of room", () => {
    const source = offering(5);
    source.scheduler.lentAnswered("there", "first", "full", source.now);
    expect(source.lent).toHaveLength(1);
    expect(source.exchange({ room: 1 }).lent).toEqual(["second"]);
  });

  test("offers the slot for the second when the first is not wanted any more, whose room is still there", () => {
    const source = offering(1);
    source.scheduler.lentAnswered("there", "first", "unwanted", source.now);
    expect(source.lent.map(({ id }) => id)).toEqual(["first", "second"]);
  });

  test("offers none for the second when there was room for one and that was taken", () => {
    const source = offering(1);
    source.scheduler.lentAnswered("there", "first", "taken", source.now);
    source.giveBack("first");
    source.exchange({ room: 0 });
    expect(source.lent).toHaveLength(1);
  });
});

describe("what a host tells a source in one call", () => {
  test("asks for nothing that it gives back, whichever came first", () => {
    const exchanges = new Exchanges();
    exchanges.borrow("source", loan("dropped"));
    exchanges.borrow("source", loan("wanted"));
    exchanges.giveBack("source", "dropped", UNUSED);
    const [source = expect.unreachable()] = exchanges.sources();
    const { requests, returns } = exchanges.take(source);
    expect(requests.map(({ id }) => id)).toEqual(["wanted"]);
    expect(returns).toEqual([{ id: "dropped", outcome: UNUSED }]);
    expect(exchanges.sources()).toEqual([]);
  });

  test("is one call to each source, and one without a word where only the room is to be told", () => {
    const exchanges = new Exchanges();
    exchanges.tellRoom("quiet");
    exchanges.borrow("other", loan("a"));
    exchanges.tellRoom("other");
    expect(exchanges.sources().map((source) => [source, exchanges.take(source).requests.length])).toEqual([
      ["quiet", 0],
      ["other", 1],
    ]);
  });
});

test("a slot that a source has now goes before one that is only being asked for at another", () => {
  const target = new RecordedHost({ reqConcurrent: 1 });
  target.joinLane("lane", 1);
  target.offer("first", { sourceHost: "one" });
  target.answer({ queued: true }, target.asked[0]);
  target.offer("second", { sourceHost: "another" });
  const [first, second] = target.asked;
  expect(target.scheduler.lent(first?.request.id ?? "", target.now)).toBe("taken");
  expect(target.transfers.map(({ offer }) => offer.digest)).toEqual(["first"]);
  // The answer to the other comes too late: its slot is given back, and it waits for the next.
  target.answer({ lease: "at another" }, second);
  expect(target.givenBack).toMatchObject([{ source: "another", id: second?.request.id }]);
  expect(target.transfers).toHaveLength(1);
});

test("a source that could not be reached is asked again soon, and no sooner", () => {
  const target = new RecordedHost();
  target.joinLane("lane", 1);
  target.joinJob("j");
  target.offer("blob", { sourceHost: "there" });
  target.answer(undefined);
  target.pass(1_999);
  expect(target.asked).toHaveLength(1);
  target.pass(1);
  expect(target.asked.map(({ request }) => request.id)).toEqual(Array(2).fill(target.asked[0]?.request.id));
});

describe("a host that takes one request per second", () => {
  const asking = (): RecordedHost => {
    const target = new RecordedHost({ reqPerSec: 1 });
    target.joinLane("lane", 5);
    target.joinJob("j");
    for (const name of ["a", "b", "c"]) {
      target.offer(name, { sourceHost: "there" });
    }
    return target;
  };

  test("begins one blob from another host per second, as it does of its own", () => {
    const target = asking();
    for (let seconds = 1; seconds <= 3; seconds++) {
      expect(target.asked).toHaveLength(seconds);
      target.answer({ lease: "at the source" }, target.asked.at(-1));
      expect(target.transfers).toHaveLength(seconds);
      target.pass(1_000);
    }
  });

  test("asks for the next at once where the source has no slot", () => {
    const target = asking();
    target.answer({ queued: true }, target.asked[0]);
    expect(target.asked).toHaveLength(2);
    expect(target.transfers).toEqual([]);
  });
});

test("a source that was told of no room in a pause hears of it at the pause's end, though nothing waits here itself", () => {
  const target = new RecordedHost();
  target.joinLane("lane", 1);
  target.joinJob("j");
  target.offer("blob", { sourceHost: "there" });
  target.answer({ queued: true });
  target.request("refused");
  target.release("refused", { class: "throttled", retryAfterMs: 3_000 });
  expect(target.scheduler.roomFor("there", [], target.now)).toBe(0);
  target.toldRoom.length = 0;
  target.pass(2_999);
  expect(target.toldRoom).toEqual([]);
  target.pass(1);
  expect(target.toldRoom).toEqual(["there"]);
});

import { describe, expect, test } from "vitest";
import { EventReader, type ServerSentEvent } from "../../src/cli/sse.ts";

function readAll(text: string, pieceLength = text.length): ServerSentEvent[] {
  const reader = new EventReader();
  const events: ServerSentEvent[] = [];
  for (let at = 0; at < text.length; at += pieceLength) {
    events.push(...reader.push(text.slice(at, at + pieceLength)));
  }
  return events;
}

describe("an event stream", () => {
  test.each([
    ["id, type and data", "id: 7\nevent: blob\ndata: {}\n\n", [{ id: "7", type: "blob", data: "{}" }]],
    ["no type", "data: x\n\n", [{ id: "", type: "message", data: "x" }]],
    ["data over several lines", "data: a\ndata:b\ndata\n\n", [{ id: "", type: "message", data: "a\nb\n" }]],
    [
      "an id that stays for later events",
      "id: 1\ndata: a\n\ndata: b\n\n",
      [
        { id: "1", type: "message", data: "a" },
        { id: "1", type: "message", data: "b" },
      ],
    ],
    [
      "CRLF and CR as line ends",
      "data: a\r\n\r\ndata: b\r\rdata: c\n\n",
      [
        { id: "", type: "message", data: "a" },
        { id: "", type: "message", data: "b" },
        { id: "", type: "message", data: "c" },
      ],
    ],
    [
      "comments and unknown fields",
      ": heartbeat\nretry: 10\nfoo: bar\ndata: a\n\n: again\n\n",
      [{ id: "", type: "message", data: "a" }],
    ],
    ["a type without data", "event: blob\n\ndata: a\n\n", [{ id: "", type: "message", data: "a" }]],
    ["an event that is cut off", "data: a\n\ndata: b\n", [{ id: "", type: "message", data: "a" }]],
    ["only one space taken off", "data:  a\n\n", [{ id: "", type: "message", data: " a" }]],
  ])("reads %s, in one piece and cut anywhere", (_name, text, expected) => {
    expect(readAll(text)).toEqual(expected);
    for (const pieceLength of [1, 2, 3, 5]) {
      expect(readAll(text, pieceLength)).toEqual(expected);
    }
  });
});

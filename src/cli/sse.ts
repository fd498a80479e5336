/** Reads Server-Sent Events (WHATWG HTML, section 9.2.6) from pieces of text. Pure; knows nothing of copies. */

export interface ServerSentEvent {
  /** The id of this event or, as the standard has it, of the last one that had any. */
  id: string;
  type: string;
  data: string;
}

/** Feeds on text in pieces cut anywhere; an event comes out with the blank line that ends it. */
export class EventReader {
  #rest = "";
  #id = "";
  #type = "";
  #data: string[] = [];

  push(piece: string): ServerSentEvent[] {
    const events: ServerSentEvent[] = [];
    this.#rest += piece;
    for (;;) {
      // A CR at the very end may be half of a CRLF.
      const end = /\r\n|\n|\r(?=[\s\S])/.exec(this.#rest);
      if (end === null) {
        return events;
      }
      const line = this.#rest.slice(0, end.index);
      this.#rest = this.#rest.slice(end.index + end[0].length);
      const event = this.#line(line);
      if (event !== null) {
        events.push(event);
      }
    }
  }

  #line(line: string): ServerSentEvent | null {
    if (line === "") {
      return this.#dispatch();
    }
    const colon = line.indexOf(":");
    // A comment: the service's heartbeat.
    if (colon === 0) {
      return null;
    }
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "data") {
      this.#data.push(value);
    } else if (field === "event") {
      this.#type = value;
    } else if (field === "id" && !value.includes("\0")) {
      this.#id = value;
    }
    return null;
  }

  #dispatch(): ServerSentEvent | null {
    const event = { id: this.#id, type: this.#type === "" ? "message" : this.#type, data: this.#data.join("\n") };
    const empty = this.#data.length === 0;
    this.#type = "";
    this.#data = [];
    return empty ? null : event;
  }
}

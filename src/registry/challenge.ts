/**
 * Reads `WWW-Authenticate` (RFC 9110, section 11.6.1), with the liberties registries take: several challenges in one
 * header, values without quotes, any case. Pure; which challenge is answered, and how, is decided in token.ts.
 */

export interface Challenge {
  /** Lower case: `bearer`, `basic`. */
  scheme: string;
  /** By lower-case name. The first of two with one name counts. */
  params: ReadonlyMap<string, string>;
}

/** Actions of the token protocol: what may follow a comma inside a `scope` that was sent without quotes. */
const ACTIONS: ReadonlySet<string> = new Set(["pull", "push", "delete", "*"]);

const TOKEN = /[!#$%&'*+.^_`|~0-9A-Za-z-]+/y;
const TOKEN68 = /[A-Za-z0-9._~+/-]+=*(?=[ \t]*(?:,|$))/y;
const UNQUOTED = /[^\s,]+/y;

/** All challenges of the header, in its order. Text that is no challenge is skipped; nothing is ever thrown. */
export function parseChallenges(header: string): Challenge[] {
  return new Reader(header).challenges();
}

interface OpenChallenge {
  scheme: string;
  params: Map<string, string>;
  /** Name of the last parameter, if its value came without quotes. */
  unquoted: string | null;
}

class Reader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  challenges(): Challenge[] {
    const found: OpenChallenge[] = [];
    while (this.#at < this.#text.length) {
      this.#skip(/[\s,]*/y);
      const name = this.#take(TOKEN);
      if (name === "") {
        this.#skipJunk();
        continue;
      }
      const open = found.at(-1);
      if (open && this.#parameterFollows()) {
        this.#parameter(open, name.toLowerCase());
      } else if (!(open && this.#continues(open, name))) {
        found.push(this.#challenge(name));
      }
    }
    return found.map(({ scheme, params }) => ({ scheme, params }));
  }

  #challenge(scheme: string): OpenChallenge {
    this.#skip(/[ \t]*/y);
    // A scheme may carry one opaque value instead of parameters (`Negotiate <base64>`); none of ours does.
    this.#take(TOKEN68);
    return { scheme: scheme.toLowerCase(), params: new Map(), unquoted: null };
  }

  #parameterFollows(): boolean {
    const after = /[ \t]*=/y;
    after.lastIndex = this.#at;
    return after.test(this.#text);
  }

  #parameter(challenge: OpenChallenge, name: string): void {
    this.#skip(/[ \t]*=[ \t]*/y);
    const isQuoted = this.#text[this.#at] === '"';
    const value = isQuoted ? this.#quoted() : this.#take(UNQUOTED);
    if (!challenge.params.has(name)) {
      challenge.params.set(name, value);
    }
    challenge.unquoted = isQuoted ? null : name;
  }

  /** `scope=repository:a:pull,push`: the comma belongs to the value, though only quotes could say so. */
  #continues(challenge: OpenChallenge, word: string): boolean {
    if (challenge.unquoted !== "scope" || !ACTIONS.has(word)) {
      return false;
    }
    challenge.params.set("scope", `${challenge.params.get("scope") ?? ""},${word}`);
    return true;
  }

  #quoted(): string {
    let value = "";
    this.#at++;
    while (this.#at < this.#text.length) {
      const character = this.#text[this.#at++];
      if (character === '"') {
        return value;
      }
      value += character === "\\" ? (this.#text[this.#at++] ?? "") : character;
    }
    return value;
  }

  /** What can be no name: a quoted text as a whole, else one character. */
  #skipJunk(): void {
    if (this.#text[this.#at] === '"') {
      this.#quoted();
    } else {
      this.#at++;
    }
  }

  #take(pattern: RegExp): string {
    pattern.lastIndex = this.#at;
    const match = pattern.exec(this.#text);
    if (!match) {
      return "";
    }
    this.#at = pattern.lastIndex;
    return match[0];
  }

  #skip(pattern: RegExp): void {
    this.#take(pattern);
  }
}

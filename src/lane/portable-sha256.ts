/**
 * SHA-256 whose state can be written down, so that another lane can hash on. The runtime's own is four times as fast but
 * cannot be taken out of its invocation: docs/decisions/0004-resumable-hash.md. The code is hash-wasm's; `sha256.wasm` is
 * the file embedded in that package, as scripts/extract-sha256.ts takes it out.
 */
import type { SavedHash } from "../host/contract.ts";
import type { Hasher } from "../registry/digest.ts";
import sha256Module from "./sha256.wasm";

/** Bytes that the module takes at once: the size of its input buffer. */
const INPUT_BYTES = 16 * 1024;
const DIGEST_BYTES = 32;
/** Names the layout of the state: what another build of the module has written is not read. */
const FORMAT = "hash-wasm-4.13.0/sha256";
const STATE_BYTES = 112;
const HEX = 16;

interface Engine {
  input: Uint8Array;
  state: Uint8Array;
  init: (bits: number) => void;
  update: (bytes: number) => void;
  final: (padding: number) => void;
}

/** One for all hashers of the isolate: each brings its state along. */
let shared: Engine | null = null;

export class PortableSha256 implements Hasher {
  readonly algorithm = "sha256";
  #state: Uint8Array;

  private constructor(state: Uint8Array) {
    this.#state = state;
  }

  static start(): PortableSha256 {
    const { init, state } = engine();
    init(256);
    return new PortableSha256(state.slice());
  }

  /** Null: another build has written it. */
  static load({ format, state }: SavedHash): PortableSha256 | null {
    const bytes = format === FORMAT ? bytesOf(state) : null;
    return bytes?.byteLength === STATE_BYTES ? new PortableSha256(bytes) : null;
  }

  save(): SavedHash {
    return { format: FORMAT, state: btoa(String.fromCharCode(...this.#state)) };
  }

  fork(): PortableSha256 {
    return new PortableSha256(this.#state.slice());
  }

  update(bytes: Uint8Array): void {
    const { input, state, update } = engine();
    state.set(this.#state);
    for (let from = 0; from < bytes.byteLength; from += INPUT_BYTES) {
      const part = bytes.subarray(from, from + INPUT_BYTES);
      input.set(part);
      update(part.byteLength);
    }
    this.#state.set(state);
  }

  digest(): string {
    const { input, state, final } = engine();
    state.set(this.#state);
    final(0);
    const hex = [...input.subarray(0, DIGEST_BYTES)].map((byte) => byte.toString(HEX).padStart(2, "0"));
    return `sha256:${hex.join("")}`;
  }
}

function engine(): Engine {
  if (shared === null) {
    const { exports } = new WebAssembly.Instance(sha256Module, {});
    const { memory } = exports;
    if (!(memory instanceof WebAssembly.Memory)) {
      throw new TypeError("sha256.wasm has no memory");
    }
    const call = (name: string, argument?: number): number => {
      const entry = exports[name];
      if (typeof entry !== "function") {
        throw new TypeError(`sha256.wasm has no ${name}`);
      }
      return Number(argument === undefined ? entry() : entry(argument));
    };
    shared = {
      // The module never grows its memory, so that the views stay good.
      input: new Uint8Array(memory.buffer, call("Hash_GetBuffer"), INPUT_BYTES),
      state: new Uint8Array(memory.buffer, call("Hash_GetState"), STATE_BYTES),
      init: (bits) => void call("Hash_Init", bits),
      update: (bytes) => void call("Hash_Update", bytes),
      final: (padding) => void call("Hash_Final", padding),
    };
  }
  return shared;
}

function bytesOf(base64: string): Uint8Array | null {
  try {
    return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  } catch {
    return null;
  }
}

/** Ids of copies: `cp_` and 26 characters that sort by time. Pure. */

/** Bytes of chance in an id: as many as a ULID has; nobody guesses or meets another's. */
export const ID_RANDOM_BYTES = 10;

/** 48 bits of time and 80 of chance, in 32 digits that sort as the numbers do (RFC 4648 section 7, lower case). */
const ID = /^cp_[0-9a-v]{26}$/;

/** @param random {@link ID_RANDOM_BYTES} bytes. */
export function newCopyId(nowMs: number, random: Uint8Array): string {
  const number = random.reduce((sum, byte) => (sum << 8n) | BigInt(byte), BigInt(nowMs));
  return `cp_${number.toString(32).padStart(26, "0")}`;
}

/** When the copy with this id was asked for, in milliseconds since the epoch. */
export function copyIdTimeMs(id: string): number {
  const digits = Array.from(id.slice("cp_".length), (digit) => BigInt(Number.parseInt(digit, 32)));
  const number = digits.reduce((sum, digit) => sum * 32n + digit, 0n);
  return Number(number >> BigInt(8 * ID_RANDOM_BYTES));
}

export function isCopyId(text: string): boolean {
  return ID.test(text);
}

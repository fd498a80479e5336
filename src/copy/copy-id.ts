/** Ids of copies and of groups of copies: `cp_` or `cg_`, and 26 characters that sort by time. Pure. */

/** Bytes of chance in an id: as many as a ULID has; nobody guesses or meets another's. */
export const ID_RANDOM_BYTES = 10;

/** 48 bits of time and 80 of chance, in 32 digits that sort as the numbers do (RFC 4648 section 7, lower case). */
const ID = /^cp_[0-9a-v]{26}$/;
const GROUP_ID = /^cg_[0-9a-v]{26}$/;

/** @param random {@link ID_RANDOM_BYTES} bytes. */
export function newCopyId(nowMs: number, random: Uint8Array): string {
  return `cp_${digitsOf(newNumber(nowMs, random))}`;
}

/** @param random {@link ID_RANDOM_BYTES} bytes. */
export function newGroupId(nowMs: number, random: Uint8Array): string {
  return `cg_${digitsOf(newNumber(nowMs, random))}`;
}

/** Id of a group's copy: it follows from the group's, so that a start that is repeated names the same copies. */
export function copyIdIn(group: string, place: number): string {
  return `cp_${digitsOf(numberOf(group) + BigInt(place))}`;
}

/** When the copy or group with this id was asked for, in milliseconds since the epoch. */
export function copyIdTimeMs(id: string): number {
  return Number(numberOf(id) >> BigInt(8 * ID_RANDOM_BYTES));
}

export function isCopyId(text: string): boolean {
  return ID.test(text);
}

export function isGroupId(text: string): boolean {
  return GROUP_ID.test(text);
}

function newNumber(nowMs: number, random: Uint8Array): bigint {
  return random.reduce((sum, byte) => (sum << 8n) | BigInt(byte), BigInt(nowMs));
}

function digitsOf(number: bigint): string {
  return number.toString(32).padStart(26, "0");
}

function numberOf(id: string): bigint {
  const digits = Array.from(id.slice("cp_".length), (digit) => BigInt(Number.parseInt(digit, 32)));
  return digits.reduce((sum, digit) => sum * 32n + digit, 0n);
}

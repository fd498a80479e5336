/**
 * The text of an API key: `dry_`, 41 characters of chance, 6 of checksum, all letters and digits, so that a double click
 * takes all of it, a scanner for secrets knows it, and a mistyped one is refused without a look into the index. Pure.
 */

export const KEY_PREFIX = "dry_";

/** Nobody guesses 240 bits, so a plain hash is enough to keep a key. */
export const KEY_RANDOM_BYTES = 30;

const DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/** Digits in base 62 that 240 bits need. */
const SECRET_DIGITS = 41;
/** Digits in base 62 that 32 bits need. */
const CHECKSUM_DIGITS = 6;

const KEY = new RegExp(`^${KEY_PREFIX}([0-9A-Za-z]{${SECRET_DIGITS}})([0-9A-Za-z]{${CHECKSUM_DIGITS}})$`);

/** @param random {@link KEY_RANDOM_BYTES} bytes. */
export function keyText(random: Uint8Array): string {
  const secret = base62(numberOf(random), SECRET_DIGITS);
  return `${KEY_PREFIX}${secret}${checksumOf(secret)}`;
}

/** Whether the text has the form of a key, checksum included. Says nothing of whether there is such a key. */
export function isKeyText(text: string): boolean {
  const match = KEY.exec(text);
  return match?.[1] !== undefined && checksumOf(match[1]) === match[2];
}

/** Bytes of chance in a key's id, which is no secret. */
export const KEY_ID_RANDOM_BYTES = 10;

const KEY_ID = /^key_[0-9a-v]{16}$/;

/** The name under which a key is listed and revoked. @param random {@link KEY_ID_RANDOM_BYTES} bytes. */
export function keyId(random: Uint8Array): string {
  return `key_${numberOf(random).toString(32).padStart(16, "0")}`;
}

export function isKeyId(text: string): boolean {
  return KEY_ID.test(text);
}

function numberOf(bytes: Uint8Array): bigint {
  return bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
}

function checksumOf(secret: string): string {
  return base62(BigInt(crc32(new TextEncoder().encode(secret))), CHECKSUM_DIGITS);
}

function base62(number: bigint, digits: number): string {
  let text = "";
  for (let rest = number; text.length < digits; rest /= 62n) {
    text = (DIGITS[Number(rest % 62n)] ?? "") + text;
  }
  return text;
}

/** CRC-32 as in ISO-HDLC (zlib, PNG), bit by bit: 41 bytes are nothing. */
function crc32(bytes: Uint8Array): number {
  let crc = 0xffff_ffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) {
      crc = crc & 1 ? (crc >>> 1) ^ 0xedb8_8320 : crc >>> 1;
    }
  }
  return (crc ^ 0xffff_ffff) >>> 0;
}

/**
 * Keeps what a cloud gave until its time is over, in memory only: asks once however many want it, and again before its
 * time when it was refused.
 */
import type { Credential } from "../credentials.ts";
import type { Obtain, ObtainedCredential } from "./ask.ts";

/** It is replaced this long before its end, so that no upload begins with one that ends under it. */
const MARGIN_MS = 5 * 60_000;

/** One of a short life is replaced this part of its life before its end. */
const MARGIN_SHARE = 0.1;

/** One that was refused so soon is as good as the next: the cloud has nothing better, and should not be asked in a circle. */
const YOUNG_MS = 60_000;

/** The credential there is; with `refused`, another one than that, if there is one to be had. @throws CopyError */
export type Remembered = (refused?: Credential) => Promise<ObtainedCredential>;

export function remembered(obtain: Obtain, now: () => number): Remembered {
  let kept: { credential: ObtainedCredential; gainedAtMs: number } | null = null;
  let underWay: Promise<ObtainedCredential> | null = null;

  const isGood = (nowMs: number): boolean => {
    if (kept === null) {
      return false;
    }
    const { expiresAtMs } = kept.credential;
    return nowMs < expiresAtMs - Math.min(MARGIN_MS, (expiresAtMs - kept.gainedAtMs) * MARGIN_SHARE);
  };

  const ask = (): Promise<ObtainedCredential> => {
    const gainedAtMs = now();
    return obtain()
      .then((credential) => {
        kept = { credential, gainedAtMs };
        return credential;
      })
      .finally(() => {
        underWay = null;
      });
  };

  return async (refused) => {
    const nowMs = now();
    const isRefused = kept !== null && kept.credential === refused && nowMs - kept.gainedAtMs >= YOUNG_MS;
    if (kept !== null && isGood(nowMs) && !isRefused) {
      return kept.credential;
    }
    underWay ??= ask();
    return underWay;
  };
}

/** What to do when an upload meets trouble. Pure. */

import type { ApiError } from "../common/api";

/** Where an upload is: asking for a URL, sending, submitting. */
export type Stage = "url" | "put" | "submit";

/**
 * - again: the same once more, after a pause
 * - newUrl: the URL, or what was sent to it, is of no use any more
 * - sent: the file was there already
 * - key: the key is no good any more, or may only look
 * - fix: a field of the options can't be used
 * - stop: no repetition helps
 */
export type Verdict = "again" | "newUrl" | "sent" | "key" | "fix" | "stop";

/** So many tries without a byte more than before. */
export const MOST_TRIES = 8;
const LONGEST_PAUSE = 30;
/** A URL isn't used in its last minute. */
const URL_MARGIN_MS = 60_000;

export function verdictOn(error: ApiError, stage: Stage): Verdict {
  const { status, code } = error;
  if (status === 0 || status >= 500 || status === 408 || status === 425 || status === 429) return "again";
  if (stage === "put") {
    if (status === 413) return "stop";
    if (status === 409) return "sent";
    return code === "upload_ended_early" ? "again" : "newUrl"; // stores answer 400, 403 or 404 after the URL's end
  }
  if (status === 401 || status === 403) return "key";
  if (code === "blob_not_found") return "newUrl";
  if (status === 400 && code !== "upload_too_large") return "fix";
  return "stop";
}

/** Seconds until the next try: doubling, and at random a quarter more or less, so that many clients don't come at once. */
export function pauseSeconds(tries: number, retryAfterSeconds: number | null, random: () => number): number {
  const pause = Math.min(LONGEST_PAUSE, 2 ** Math.max(0, tries - 1)) * (0.75 + 0.5 * random());
  return Math.max(pause, retryAfterSeconds ?? 0);
}

export interface Ticket {
  url: string;
  blobName: string;
  expiresAtMs: number;
}

export function usable(ticket: Ticket | null, nowMs: number): ticket is Ticket {
  return ticket !== null && nowMs < ticket.expiresAtMs - URL_MARGIN_MS;
}

/** Signing in and out, and calls with the key in force. */

import { batch } from "@preact/signals";
import { answer, ApiError, call, type Wish } from "../common/api";
import { storedKey, storeKey } from "../common/session";
import { account, announcement, dialog, jobs, key, readOnly, signInSentence, type Account } from "./state";

const GONE =
  "The key is no longer accepted: it was revoked or has expired. Sign in with another one; nothing that you typed is lost.";
const NO_PLAN = "This key's account may not use the service. Ask the service's operator.";

/** Signs in with the key that the tab holds, if it holds one. */
export function resume(): void {
  const stored = storedKey();
  if (stored !== null) key.value = stored;
}

/** Why a key can't be right, without asking; null when it may be. */
export function keyComplaint(text: string): string | null {
  if (text === "") return "Enter an API key.";
  return /^[!-~]+$/.test(text) ? null : "A key has no spaces and no letters outside ASCII; copy it again.";
}

/** What a refused sign-in tells. Pure. */
export function refusalSentence(error: ApiError): string {
  switch (true) {
    case error.status === 401:
      return "This key is not known here: it may be mistyped, revoked or expired.";
    case error.status === 403:
      return NO_PLAN;
    case error.status === 429: {
      const wait = error.retryAfterSeconds;
      return `There were too many tries. Try again ${wait === null ? "in a minute" : `in ${Math.ceil(wait)} s`}.`;
    }
    case error.status === 0:
      return "The service can't be reached. Check the connection and try again.";
    default:
      return "The service has trouble just now. Try again in a moment.";
  }
}

/** Checks a key and signs in with it. Returns whether it did. */
export async function signIn(text: string): Promise<boolean> {
  const wanted = text.trim();
  const complaint = keyComplaint(wanted);
  if (complaint !== null) {
    signInSentence.value = complaint;
    return false;
  }
  try {
    const found = await call<Account>(wanted, "account/");
    batch(() => {
      storeKey(wanted);
      account.value = found;
      jobs.value = null; // they may be another account's
      readOnly.value = false;
      signInSentence.value = null;
      announcement.value = "Signed in.";
      key.value = wanted;
    });
    return true;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    signInSentence.value = refusalSentence(error);
    return false;
  }
}

export function signOut(sentence: string | null = null): void {
  batch(() => {
    storeKey(null);
    key.value = null;
    account.value = null;
    dialog.value = null;
    signInSentence.value = sentence;
  });
}

/** A service that doesn't answer at all is away too; a submit may have to wait for the store to copy gigabytes. */
const LOOK_MS = 15_000;
const CHANGE_MS = 120_000;

/** A call that only looks. */
export function look<T>(path: string, wish: Wish = {}): Promise<T> {
  return guarded((used) => call<T>(used, path, within(LOOK_MS, wish)), false);
}

/** The same with the whole answer, for its headers. */
export function lookAt(path: string, wish: Wish = {}): Promise<Response> {
  return guarded((used) => answer(used, path, within(LOOK_MS, wish)), false);
}

/** A call that changes something. */
export function change<T>(path: string, wish: Wish): Promise<T> {
  return guarded((used) => call<T>(used, path, within(CHANGE_MS, wish)), true);
}

function within(milliseconds: number, wish: Wish): Wish {
  const timeout = AbortSignal.timeout(milliseconds);
  return { ...wish, signal: wish.signal === undefined ? timeout : AbortSignal.any([wish.signal, timeout]) };
}

async function guarded<T>(work: (key: string) => Promise<T>, writes: boolean): Promise<T> {
  const used = key.value;
  if (used === null) throw new ApiError(401, "invalid_api_key", "You are not signed in.");
  try {
    return await work(used);
  } catch (error) {
    // A late answer to an earlier key says nothing about the one in force.
    if (error instanceof ApiError && used === key.value) {
      if (error.status === 401) signOut(GONE);
      if (error.status === 403 && writes) readOnly.value = true;
      if (error.status === 403 && !writes) signOut(NO_PLAN);
    }
    throw error;
  }
}

/** Looks up name, plan and usage anew. The list tells when the service is away, so nothing is told here. */
export async function refreshAccount(): Promise<void> {
  const used = key.value;
  try {
    const found = await look<Account>("account/");
    if (used === key.value) account.value = found;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
  }
}

/** The list: one request for the page that is shown, again and again. */

import { batch, effect, untracked } from "@preact/signals";
import { ApiError, contentOf, type JobDetail } from "../common/api";
import { changesBetween } from "./announcements";
import { isActive } from "./jobText";
import { Poller } from "./poll";
import { lookAt, refreshAccount } from "./session";
import {
  announcement,
  filter,
  FILTERS,
  jobs,
  key,
  page,
  PAGE_SIZE,
  pages,
  total,
  trouble,
  type Filter,
} from "./state";

let changes = 0;
let lastGood: Date | null = null;
let wish = "";

/** To be called when something here changed a job: what was asked for before that is out of date. */
export function changed(): void {
  changes += 1;
}

/** The request for a page. Pure. */
export function query(filter: Filter, page: number): string {
  const status = filter === "all" ? "" : `&status=${filter}`;
  return `jobs/?detail=true&limit=${PAGE_SIZE}&offset=${(page - 1) * PAGE_SIZE}${status}`;
}

/** `fresh`, with the old objects where nothing differs, so that nothing is drawn anew for them. Pure. */
export function reconciled(old: readonly JobDetail[], fresh: readonly JobDetail[]): JobDetail[] {
  const known = new Map(old.map((job) => [job.job_id, job]));
  return fresh.map((job) => {
    const before = known.get(job.job_id);
    return before !== undefined && JSON.stringify(before) === JSON.stringify(job) ? before : job;
  });
}

async function refresh(): Promise<void> {
  const [usedKey, asked, atChange] = [key.value, query(filter.value, page.value), changes];
  const stale = () =>
    usedKey !== key.value || asked !== query(filter.value, page.value) || atChange !== changes;
  try {
    const response = await lookAt(asked);
    const fresh = await contentOf<JobDetail[]>(response);
    if (stale()) return poller.now();
    take(fresh, Number(response.headers.get("X-Total-Count") ?? fresh.length), wish === asked);
    wish = asked;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (key.value === null) return; // signed out meanwhile, or by this very answer
    if (stale()) return poller.now();
    trouble.value = { error, failures: (trouble.value?.failures ?? 0) + 1, lastGood };
  }
}

function take(fresh: JobDetail[], count: number, samePage: boolean): void {
  const old = jobs.value ?? [];
  const spoken = samePage ? changesBetween(old, fresh) : null;
  const ended = old
    .filter(isActive)
    .some((job) => fresh.some((f) => f.job_id === job.job_id && !isActive(f)));
  lastGood = new Date();
  batch(() => {
    jobs.value = reconciled(old, fresh);
    total.value = count;
    trouble.value = null;
    if (spoken !== null) announcement.value = spoken;
  });
  if (page.value > pages.value) turnTo({ page: pages.value });
  if (ended) void refreshAccount();
}

export const poller = new Poller(refresh, () => ({
  active: (jobs.value ?? []).some(isActive),
  visible: document.visibilityState === "visible",
  failures: trouble.value?.failures ?? 0,
  retryAfterSeconds: trouble.value?.error.retryAfterSeconds ?? null,
}));

/** Puts a job's new detail into the list. */
export function put(job: JobDetail): void {
  changed();
  jobs.value = (jobs.value ?? []).map((other) => (other.job_id === job.job_id ? job : other));
}

/** Takes a job out of the list. */
export function drop(jobId: string): void {
  changed();
  batch(() => {
    jobs.value = (jobs.value ?? []).filter((job) => job.job_id !== jobId);
    total.value = Math.max(0, total.value - 1);
  });
  poller.now();
}

/** Shows another page of the list. */
export function turnTo(next: { filter?: Filter; page?: number }): void {
  batch(() => {
    if (next.filter !== undefined && next.filter !== filter.value)
      [filter.value, page.value] = [next.filter, 1];
    if (next.page !== undefined) page.value = Math.max(1, Math.trunc(next.page));
  });
  const search = new URLSearchParams();
  if (filter.value !== "all") search.set("status", filter.value);
  if (page.value > 1) search.set("page", String(page.value));
  history.replaceState(null, "", search.size > 0 ? `?${search}` : location.pathname);
}

/** Shows the page of the list that the address names. */
export function readAddress(): void {
  const search = new URLSearchParams(location.search);
  const named = FILTERS.find((name) => name === search.get("status"));
  const number = Number(search.get("page"));
  batch(() => {
    filter.value = named ?? "all";
    page.value = Number.isInteger(number) && number > 1 && number < 1e7 ? number : 1;
  });
}

/** Follows the key, the page that is wanted, the tab's visibility and the connection. Returns what ends it. */
export function follow(): () => void {
  const now = () => poller.now();
  // Who was asked to wait comes no earlier for having looked away and back.
  const asked = () => trouble.value?.error.retryAfterSeconds != null;
  const shown = () => document.visibilityState === "visible" && !asked() && poller.now();
  document.addEventListener("visibilitychange", shown);
  window.addEventListener("online", now);
  const endKey = effect(() => {
    const signedIn = key.value !== null;
    untracked(() => (signedIn ? poller.start() : poller.stop()));
  });
  const endWish = effect(() => {
    query(filter.value, page.value);
    untracked(now);
  });
  return () => {
    endKey();
    endWish();
    poller.stop();
    document.removeEventListener("visibilitychange", shown);
    window.removeEventListener("online", now);
  };
}

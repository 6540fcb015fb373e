/** Pictures of jobs: asked for when they come into view, and anew while their jobs go on. */

import { signal, type Signal } from "@preact/signals";
import type { JobDetail } from "../common/api";
import { kindOf } from "./jobText";

/** What there is to know about one job's picture. */
interface Entry {
  url: Signal<string | null>;
  urlAtMs: number;
  askedAtMs: number;
  /** What the job looked like when it was asked. */
  mark: string;
  failures: number;
  asking: boolean;
}

const LEAST_GAP_MS = 10_000;
/** Signed URLs are valid for a quarter of an hour by default; they aren't used again in the last third. */
const OLD_MS = 600_000;
const MOST_FAILURES = 3;
const MOST_KEPT = 500;

/** What of a job changes when its picture may have. Pure. */
export function markOf(job: JobDetail): string {
  const going = kindOf(job) === "working" ? `${job.current_step} ${job.percent_complete}` : "";
  return `${kindOf(job)} ${job.started_at} ${job.finished_at} ${going}`;
}

/** Whether to ask for a picture that is in view. Pure. */
export function due(
  entry: Pick<Entry, "askedAtMs" | "mark" | "failures">,
  mark: string,
  nowMs: number,
): boolean {
  if (entry.failures >= MOST_FAILURES && mark === entry.mark) return false;
  const age = nowMs - entry.askedAtMs;
  if (age >= OLD_MS) return true;
  return age >= LEAST_GAP_MS && (mark !== entry.mark || entry.failures > 0);
}

/** Whether two signed URLs are of the same object. Pure. */
export function sameObject(a: string | null, b: string | null): boolean {
  return a !== null && b !== null && a.split("?")[0] === b.split("?")[0];
}

export class Thumbnails {
  #entries = new Map<string, Entry>();
  #ask: (jobId: string) => Promise<string | null>;
  #nowMs: () => number;

  /** `ask` answers a job's signed URL, null when there is no picture yet; it may throw. */
  constructor(ask: (jobId: string) => Promise<string | null>, nowMs: () => number = () => Date.now()) {
    this.#ask = ask;
    this.#nowMs = nowMs;
  }

  url(jobId: string): Signal<string | null> {
    return this.#entry(jobId).url;
  }

  /** A place for a job's picture comes onto the screen: an old URL would not load there any more. */
  open(jobId: string): void {
    const entry = this.#entry(jobId);
    if (this.#nowMs() - entry.urlAtMs < OLD_MS) return;
    entry.url.value = null;
    entry.askedAtMs = -Infinity;
  }

  /** A job's picture is in view: asks for it if there may be another one. */
  async show(job: JobDetail): Promise<void> {
    const entry = this.#entry(job.job_id);
    const mark = markOf(job);
    if (entry.asking || !due(entry, mark, this.#nowMs())) return;
    Object.assign(entry, { asking: true, askedAtMs: this.#nowMs(), mark });
    try {
      const url = await this.#ask(job.job_id);
      // The same picture under a newer signature need not be loaded again.
      const old = this.#nowMs() - entry.urlAtMs >= OLD_MS;
      if (old || !sameObject(entry.url.value, url)) [entry.url.value, entry.urlAtMs] = [url, this.#nowMs()];
      entry.failures = 0;
    } catch {
      entry.failures += 1; // the list tells when the service is away
    } finally {
      entry.asking = false;
    }
  }

  /** The picture could not be shown. */
  broken(jobId: string): void {
    const entry = this.#entry(jobId);
    entry.failures += 1;
    entry.url.value = null;
  }

  /** Forgets what has been there for longest, but for the given jobs. */
  keep(jobIds: ReadonlySet<string>): void {
    for (const id of this.#entries.keys()) {
      if (this.#entries.size <= MOST_KEPT) return;
      if (!jobIds.has(id)) this.#entries.delete(id);
    }
  }

  clear(): void {
    this.#entries.clear();
  }

  #entry(jobId: string): Entry {
    let entry = this.#entries.get(jobId);
    if (entry === undefined) {
      entry = {
        url: signal(null),
        urlAtMs: -Infinity,
        askedAtMs: -Infinity,
        mark: "",
        failures: 0,
        asking: false,
      };
      this.#entries.set(jobId, entry);
    }
    return entry;
  }
}

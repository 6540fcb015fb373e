/** What can be done with a job of the list. What goes wrong is told at the job. */

import { batch } from "@preact/signals";
import { ApiError, type JobDetail } from "../common/api";
import { drop, poller, put } from "./listing";
import { titleComplaint } from "./options";
import { change, look, refreshAccount } from "./session";
import { announcement, busy, editing, notes } from "./state";

export const cancel = (job: JobDetail) => act(job, "cancel");
export const retry = (job: JobDetail) => act(job, "retry");

async function act(job: JobDetail, action: "cancel" | "retry"): Promise<void> {
  await at(job, async () => {
    put(await change<JobDetail>(`jobs/${job.job_id}/${action}/`, { method: "POST" }));
    announcement.value = `${job.title}: ${action === "cancel" ? "cancelled" : "queued again"}.`;
    poller.now();
  });
}

/** Makes a job public or private. Returns the new detail; null when that didn't work. */
export async function publish(job: JobDetail, isPublic: boolean): Promise<JobDetail | null> {
  return at(job, async () => {
    const detail = await change<JobDetail>(`jobs/${job.job_id}/`, {
      method: "PATCH",
      body: { public: isPublic },
    });
    put(detail);
    return detail;
  });
}

/** Deletes a job. Returns the sentence of what went wrong; null: it is gone. */
export async function remove(job: JobDetail): Promise<string | null> {
  try {
    await change<undefined>(`jobs/${job.job_id}/`, { method: "DELETE" });
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (error.status !== 404) return sentenceOf(error); // with 404 somebody else was faster
  }
  drop(job.job_id);
  announcement.value = `${job.title}: deleted.`;
  void refreshAccount();
  return null;
}

/** Saves the title that is being typed. Returns whether it was. */
export async function rename(job: JobDetail, text: string): Promise<boolean> {
  const complaint = titleComplaint(text.trim());
  if (complaint !== null) {
    editing.value = { jobId: job.job_id, text, error: complaint };
    return false;
  }
  try {
    put(await change<JobDetail>(`jobs/${job.job_id}/`, { method: "PATCH", body: { title: text.trim() } }));
    editing.value = null;
    return true;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    editing.value = { jobId: job.job_id, text, error: sentenceOf(error) };
    return false;
  }
}

/** Has the browser save a file of a job. The URL is signed and comes with a file name; the key stays in the header. */
export async function download(job: JobDetail, kind: string): Promise<void> {
  await at(job, async () => {
    const { url } = await look<{ url: string }>(
      `jobs/${job.job_id}/download/${encodeURIComponent(kind)}/?redirect=false`,
    );
    const link = document.createElement("a");
    link.href = url;
    link.download = ""; // a file that is gone meanwhile is then a failed download and not another page
    if (new URL(url, location.href).origin !== location.origin) {
      // Browsers then take no notice of `download`: the page would ask whether to leave while it uploads.
      link.target = "_blank";
      link.rel = "noopener noreferrer";
    }
    link.click();
  });
}

async function at<T>(job: JobDetail, work: () => Promise<T>): Promise<T | null> {
  const id = job.job_id;
  const { [id]: _, ...others } = notes.value;
  batch(() => {
    notes.value = others;
    busy.value = new Set([...busy.value, id]);
  });
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    notes.value = { ...notes.value, [id]: sentenceOf(error) };
    if (error.status === 404 || error.status === 409) poller.now(); // the list is behind
    return null;
  } finally {
    busy.value = new Set([...busy.value].filter((other) => other !== id));
  }
}

/** What is told of a refused action. */
export function sentenceOf(error: ApiError): string {
  if (error.status === 403) return "This key may only look. Sign in with one that may write.";
  if (error.status === 404) return "This job is gone: somebody has deleted it.";
  if (error.status === 429)
    return `Too many requests at once. Try again in ${Math.ceil(error.retryAfterSeconds ?? 5)} s.`;
  if (error.status >= 500) return "The service has trouble just now. Try again in a moment.";
  return error.message;
}

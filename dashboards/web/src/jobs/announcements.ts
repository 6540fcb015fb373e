/** What a screen reader is told of changes in the list: ends and beginnings, never percentages. Pure. */

import type { JobDetail } from "../common/api";
import { kindOf, statusText } from "./jobText";

const MOST_NAMED = 3;

export function changesBetween(before: readonly JobDetail[], after: readonly JobDetail[]): string | null {
  const known = new Map(before.map((job) => [job.job_id, job]));
  const changed = after.filter((job) => {
    const old = known.get(job.job_id);
    return old !== undefined && kindOf(old) !== kindOf(job);
  });
  if (changed.length === 0) return null;
  if (changed.length > MOST_NAMED) return `${changed.length} jobs have changed.`;
  return changed.map(sentence).join(" ");
}

function sentence(job: JobDetail): string {
  const reason =
    kindOf(job) === "failed" && job.error_code !== "cancelled" ? ` ${job.error_message ?? ""}` : "";
  return `${job.title}: ${statusText(job)}.${reason}`;
}

import type { JobDetail } from "../common/api";
import { cancel, retry } from "./actions";
import { Downloads } from "./Downloads";
import { JobTitle } from "./JobTitle";
import {
  dateText,
  kindOf,
  optionsText,
  progressOf,
  qualityText,
  statusText,
  timeLeft,
  reprocessingText,
} from "./jobText";
import { Progress } from "./Progress";
import { busy, dialog, notes, readOnly } from "./state";
import { Thumbnail } from "./Thumbnail";

export function JobCard(props: { job: JobDetail }) {
  const { job } = props;
  const titleId = `title-of-${job.job_id}`;
  const quality = qualityText(job);
  const again = reprocessingText(job);
  return (
    <li class="card job" data-job-id={job.job_id} data-kind={kindOf(job)}>
      <article aria-labelledby={titleId}>
        <Thumbnail job={job} />
        <div class="job-body">
          <div class="job-title">
            <JobTitle job={job} id={titleId} />
          </div>
          <Status job={job} />
          <p class="facts">
            <time dateTime={job.uploaded_at}>{dateText(job.uploaded_at)}</time> ·{" "}
            {job.public ? "public" : "private"}
          </p>
          {quality !== null && <p class="facts quality">{quality}</p>}
          {again !== null && <p class="facts">{again}</p>}
          <p class="facts">{optionsText(job)}</p>
          <Warnings job={job} />
          <p class="error" role="alert">
            {notes.value[job.job_id]}
          </p>
          <Actions job={job} />
        </div>
      </article>
    </li>
  );
}

function Status(props: { job: JobDetail }) {
  const { job } = props;
  const progress = progressOf(job);
  const queuedLeft = kindOf(job) === "queued" ? timeLeft(job) : null;
  const reason = kindOf(job) === "failed" && job.error_code !== "cancelled" ? job.error_message : null;
  return (
    <>
      <p class="status">
        <span class="dot" aria-hidden="true" />
        {statusText(job)}
        {queuedLeft !== null && ` · ${queuedLeft.join("")}`}
      </p>
      {progress !== null && (
        <>
          <Progress percent={progress.percent} label={`Progress of ${job.title}`} text={progress.text} />
          <p class="figures">{progress.text}</p>
        </>
      )}
      {reason !== null && (
        <p class="reason">
          {reason} {job.error_code !== null && <code>{job.error_code}</code>}
        </p>
      )}
    </>
  );
}

function Warnings(props: { job: JobDetail }) {
  const { warnings, title } = props.job;
  if (warnings.length === 0) return null;
  return (
    <details class="warnings">
      <summary>
        {warnings.length === 1 ? "1 warning" : `${warnings.length} warnings`}
        <span class="visually-hidden"> of {title}</span>
      </summary>
      <ul>
        {warnings.map((warning, index) => (
          <li key={index}>{warning.message}</li>
        ))}
      </ul>
    </details>
  );
}

function Actions(props: { job: JobDetail }) {
  const { job } = props;
  const kind = kindOf(job);
  const name = <span class="visually-hidden"> {job.title}</span>;
  const waits = busy.value.has(job.job_id);
  const ended = kind === "failed" || kind === "lost";
  return (
    <div class="actions">
      {job.viewer_url !== null && !ended && (
        <a class={kind === "finished" ? "button primary" : "button"} href={onThisOrigin(job.viewer_url)}>
          {kind === "finished" ? "Open" : "Watch"}
          {name}
        </a>
      )}
      <Downloads job={job} />
      {job.viewer_url !== null && !ended && (
        <button type="button" onClick={() => (dialog.value = { kind: "share", job })}>
          Share{name}
        </button>
      )}
      {!readOnly.value && (
        <>
          {(kind === "queued" || kind === "working") && (
            <button type="button" aria-disabled={waits} onClick={() => waits || void cancel(job)}>
              Cancel{name}
            </button>
          )}
          {ended && (
            <button type="button" aria-disabled={waits} onClick={() => waits || void retry(job)}>
              Retry{name}
            </button>
          )}
          <button type="button" onClick={() => (dialog.value = { kind: "delete", job })}>
            Delete{name}
          </button>
        </>
      )}
      {job.run_url != null && (
        <a class="run" href={job.run_url} rel="noreferrer" target="_blank">
          Prefect run<span class="visually-hidden"> of {job.title}, in a new tab</span>
        </a>
      )}
    </div>
  );
}

/** The scene's page here: the key is kept for this origin, and `viewer_url` may name another one of the same service. */
function onThisOrigin(url: string): string {
  const { pathname, search } = new URL(url, location.href);
  return pathname + search;
}

import { useLayoutEffect, useRef } from "preact/hooks";
import { useSignal } from "@preact/signals";
import type { JobDetail } from "../common/api";
import { rename } from "./actions";
import { editing, readOnly } from "./state";

/** A job's title, to be changed in place. */
export function JobTitle(props: { job: JobDetail; id: string }) {
  const { job, id } = props;
  const edited = editing.value?.jobId === job.job_id ? editing.value : null;
  const begin = () => (editing.value = { jobId: job.job_id, text: job.title, error: null });
  return (
    <>
      <h3 id={id} class={edited === null ? undefined : "visually-hidden"} tabIndex={-1}>
        <bdi>{job.title}</bdi>
      </h3>
      {edited !== null && <Editor job={job} text={edited.text} error={edited.error} />}
      {edited === null && !readOnly.value && (
        <button type="button" class="quiet rename" onClick={begin}>
          Rename<span class="visually-hidden"> {job.title}</span>
        </button>
      )}
    </>
  );
}

function Editor(props: { job: JobDetail; text: string; error: string | null }) {
  const { job, text, error } = props;
  const input = useRef<HTMLInputElement>(null);
  const saving = useSignal(false);
  const id = `rename-${job.job_id}`;
  useLayoutEffect(() => {
    input.current!.focus();
    input.current!.select();
  }, []);
  const leave = () => {
    editing.value = null;
    focusRename(job.job_id);
  };
  const save = async (event: SubmitEvent) => {
    event.preventDefault();
    if (saving.value) return;
    saving.value = true;
    const done = await rename(job, text);
    saving.value = false;
    if (done) focusRename(job.job_id);
    else input.current?.focus();
  };
  return (
    <form class="rename-form" onSubmit={save}>
      <label class="visually-hidden" for={id}>
        Title of {job.title}
      </label>
      <input
        ref={input}
        id={id}
        dir="auto"
        autocomplete="off"
        value={text}
        onInput={(event) =>
          (editing.value = { jobId: job.job_id, text: event.currentTarget.value, error: null })
        }
        onKeyDown={(event) => event.key === "Escape" && leave()}
        aria-invalid={error !== null}
        aria-describedby={`${id}-error`}
      />
      <button type="submit" class="primary" aria-disabled={saving.value}>
        Save
      </button>
      <button type="button" onClick={leave}>
        Cancel
      </button>
      <p id={`${id}-error`} class="error" role="alert">
        {error}
      </p>
    </form>
  );
}

function focusRename(jobId: string): void {
  setTimeout(() => document.querySelector<HTMLElement>(`[data-job-id="${jobId}"] .rename`)?.focus());
}

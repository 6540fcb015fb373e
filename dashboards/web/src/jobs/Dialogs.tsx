import { useSignal } from "@preact/signals";
import type { JobDetail } from "../common/api";
import { remove } from "./actions";
import { Dialog } from "./Dialog";
import { leaveNow } from "./Header";
import { ShareDialog } from "./ShareDialog";
import { dialog, jobs } from "./state";

const close = () => (dialog.value = null);

/** The dialog that is open, if one is. */
export function Dialogs() {
  const shown = dialog.value;
  switch (shown?.kind) {
    case "delete":
      return <DeleteDialog job={shown.job} />;
    case "share": {
      // Newer jobs may push it off the page of the list.
      const listed = jobs.value?.find((one) => one.job_id === shown.job.job_id);
      return <ShareDialog job={listed ?? shown.job} />;
    }
    case "signOut":
      return <SignOutDialog />;
    default:
      return null;
  }
}

function DeleteDialog(props: { job: JobDetail }) {
  const { job } = props;
  const working = useSignal(false);
  const sentence = useSignal<string | null>(null);
  const go = async () => {
    if (working.value) return;
    working.value = true;
    const next = neighbourOf(job.job_id);
    sentence.value = await remove(job);
    working.value = false;
    if (sentence.value !== null) return;
    close();
    // What opened the dialog is gone.
    setTimeout(() => document.getElementById(next === null ? "jobs-heading" : `title-of-${next}`)?.focus());
  };
  return (
    <Dialog heading="Delete this job?" onClose={close}>
      <p>
        “<bdi>{job.title}</bdi>” with its video, its scene and all its files. This can't be undone; links to
        it end at once.
      </p>
      <p class="error" role="alert">
        {sentence.value}
      </p>
      <div class="actions">
        <button type="button" onClick={close} autofocus>
          Keep it
        </button>
        <button type="button" class="danger" aria-disabled={working.value} onClick={go}>
          Delete
        </button>
      </div>
    </Dialog>
  );
}

function SignOutDialog() {
  return (
    <Dialog heading="Sign out?" onClose={close}>
      <p>An upload is under way; signing out ends it.</p>
      <div class="actions">
        <button type="button" onClick={close} autofocus>
          Stay
        </button>
        <button type="button" class="danger" onClick={leaveNow}>
          Sign out
        </button>
      </div>
    </Dialog>
  );
}

function neighbourOf(jobId: string): string | null {
  const list = jobs.value ?? [];
  const place = list.findIndex((job) => job.job_id === jobId);
  return (list[place + 1] ?? list[place - 1])?.job_id ?? null;
}

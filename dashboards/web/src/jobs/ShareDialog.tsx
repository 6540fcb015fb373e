import { useRef } from "preact/hooks";
import { useSignal } from "@preact/signals";
import type { JobDetail } from "../common/api";
import { publish } from "./actions";
import { Dialog } from "./Dialog";
import { dateText, linkEnd } from "./jobText";
import { dialog, notes, readOnly } from "./state";

export function ShareDialog(props: { job: JobDetail }) {
  const { job } = props;
  const field = useRef<HTMLInputElement>(null);
  const said = useSignal("");
  const switching = useSignal(false);
  const url = job.viewer_url ?? "";
  const end = linkEnd(url);
  const toggle = async () => {
    if (switching.value || readOnly.value) return;
    switching.value = true;
    said.value = "";
    const changed = await publish(job, !job.public);
    switching.value = false;
    if (changed === null) return;
    said.value = changed.public ? "It is public now." : "It is private now.";
    if (dialog.value?.kind === "share") dialog.value = { kind: "share", job: changed };
  };
  const copy = async () => {
    field.current!.select();
    try {
      await navigator.clipboard.writeText(url);
      said.value = "Copied.";
    } catch {
      said.value =
        "The browser doesn't let the page copy it. It is selected: press Ctrl+C, or Cmd+C on a Mac.";
    }
  };
  return (
    <Dialog heading="Share" onClose={() => (dialog.value = null)}>
      <p>
        <bdi>{job.title}</bdi>
      </p>
      <div class="switch-row">
        <button
          type="button"
          role="switch"
          class="switch"
          aria-checked={job.public}
          aria-disabled={switching.value || readOnly.value}
          aria-labelledby="public-label"
          aria-describedby="public-help"
          onClick={toggle}
        >
          <span aria-hidden="true" />
        </button>
        <div>
          <p id="public-label">
            <strong>Public</strong>
          </p>
          <p id="public-help" class="help">
            {job.public
              ? "Everybody who has the link may look, without a key and without an end. Make it private to end that at once."
              : "Only who has the signed link may look, until it ends. Public: everybody who has the plain link may."}
          </p>
        </div>
      </div>
      <label for="share-link">Link</label>
      <div class="row">
        <input
          ref={field}
          id="share-link"
          readOnly
          value={url}
          aria-describedby="link-help"
          onFocus={() => field.current!.select()}
        />
        <button type="button" class="primary" onClick={copy}>
          Copy
        </button>
      </div>
      <p id="link-help" class="help">
        {end === null
          ? "This link doesn't end."
          : `This link is signed and ends on ${dateText(end)}. Whoever has it may look until then.`}
      </p>
      <p role="status">{said.value}</p>
      <p class="error" role="alert">
        {notes.value[job.job_id]}
      </p>
      <div class="actions">
        <button type="button" onClick={() => (dialog.value = null)}>
          Close
        </button>
      </div>
    </Dialog>
  );
}

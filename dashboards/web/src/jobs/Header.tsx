import { batch } from "@preact/signals";
import { bytes, count, duration } from "../common/format";
import { signOut } from "./session";
import { emptyForm } from "./options";
import {
  account,
  chosen,
  dialog,
  editing,
  fieldErrors,
  fixing,
  form,
  jobs,
  key,
  notes,
  trouble,
} from "./state";
import { uploader } from "./uploading";

export function Header() {
  const shown = account.value;
  const leave = () => (uploader.underWay ? (dialog.value = { kind: "signOut" }) : leaveNow());
  return (
    <header class="top">
      <h1>splatflow</h1>
      {key.value !== null && (
        <div class="account">
          {shown !== null && (
            <p>
              <bdi class="account-name">{shown.name}</bdi>
              <span> · {shown.plan} plan</span>
              <span class="usage">
                {" "}
                · {count(shown.usage.jobs)} {shown.usage.jobs === 1 ? "job" : "jobs"} ·{" "}
                {bytes(shown.usage.bytes)} · {duration(shown.usage.processing_seconds_this_month)} of work
                this month
              </span>
            </p>
          )}
          <button type="button" onClick={leave}>
            Sign out
          </button>
        </div>
      )}
    </header>
  );
}

/** Signs out and forgets what was done here. */
export function leaveNow(): void {
  uploader.clear();
  batch(() => {
    signOut();
    jobs.value = editing.value = fixing.value = trouble.value = null;
    [form.value, chosen.value, fieldErrors.value, notes.value] = [emptyForm(), [], {}, {}];
  });
}

import { bytes, duration } from "../common/format";
import { Progress } from "./Progress";
import { secondsLeft } from "./speed";
import { fix, uploader } from "./uploading";
import type { Upload } from "./uploads";

export function Uploads() {
  const list = uploader.list.value;
  if (list.length === 0) return null;
  const done = list.filter((upload) => upload.phase === "done");
  return (
    <section class="card" aria-labelledby="uploads-heading">
      <h2 id="uploads-heading" tabIndex={-1}>
        Uploads
      </h2>
      <ul class="uploads">
        {list.map((upload) => (
          <Row key={upload.id} upload={upload} />
        ))}
      </ul>
      {done.length > 0 && (
        <button type="button" onClick={() => leave(done.map((upload) => upload.id))}>
          Clear what is done
        </button>
      )}
    </section>
  );
}

function Row(props: { upload: Upload }) {
  const { id, file, phase, sent, note } = props.upload;
  const name = <span class="visually-hidden"> {file.name}</span>;
  const percent = file.size === 0 ? 0 : Math.floor((100 * sent) / file.size);
  return (
    <li data-phase={phase}>
      <p class="file-name">
        <bdi>{file.name}</bdi>
      </p>
      {phase !== "done" && <Progress percent={percent} label={`Upload of ${file.name}`} />}
      <p class="figures">{figures(props.upload)}</p>
      {note !== null && (
        <p class={phase === "paused" ? "help" : "error"} role={phase === "paused" ? undefined : "alert"}>
          {note}
        </p>
      )}
      <div class="actions">
        {(phase === "stopped" || phase === "paused") && (
          <button type="button" onClick={() => uploader.again(id)}>
            {phase === "paused" ? "Try now" : "Try again"}
            {name}
          </button>
        )}
        {phase === "refused" && (
          <button type="button" onClick={() => changeOptions(props.upload)}>
            Change the options{name}
          </button>
        )}
        {phase !== "done" && (
          <button type="button" onClick={() => leave([id])}>
            Cancel{name}
          </button>
        )}
      </div>
    </li>
  );
}

function figures(upload: Upload): string {
  const { phase, sent, file, bytesPerSecond } = upload;
  switch (phase) {
    case "waiting":
      return `Waiting for its turn · ${bytes(file.size)}`;
    case "preparing":
      return "Asking where to put it…";
    case "submitting":
      return "Uploaded; making the job…";
    case "done":
      return "Uploaded; its job is in the list.";
  }
  const left = secondsLeft(sent, file.size, bytesPerSecond);
  const parts = [
    `${bytes(sent)} of ${bytes(file.size)}`,
    `${Math.floor((100 * sent) / file.size)} %`,
    ...(bytesPerSecond === null ? [] : [`${bytes(Math.round(bytesPerSecond))}/s`]),
    ...(left === null ? [] : [`${duration(left)} left`]),
  ];
  return parts.join(" · ");
}

function changeOptions(upload: Upload): void {
  fix(upload);
  setTimeout(() =>
    (
      document.querySelector<HTMLElement>(".new-job [aria-invalid=true]") ??
      document.getElementById("new-heading")
    )?.focus(),
  );
}

function leave(ids: number[]): void {
  for (const id of ids) uploader.remove(id);
  setTimeout(() =>
    document.getElementById(uploader.list.value.length > 0 ? "uploads-heading" : "new-heading")?.focus(),
  );
}

import { useRef } from "preact/hooks";
import { bytes } from "../common/format";
import { choose, unchoose } from "./choose";
import { FieldError } from "./Field";
import { ACCEPT } from "./files";
import { OptionFields } from "./OptionFields";
import { chosen, fieldErrors, fileComplaints, fixing, type Chosen } from "./state";
import { start } from "./uploading";

export function NewJob() {
  const formElement = useRef<HTMLFormElement>(null);
  const onSubmit = (event: SubmitEvent) => {
    event.preventDefault();
    if (start()) document.getElementById("uploads-heading")?.focus();
    else setTimeout(() => firstWrong(formElement.current!)?.focus());
  };
  const many = chosen.value.length;
  const fix = fixing.value !== null;
  const idle = many === 0 && !fix;
  return (
    <section class="card new-job" aria-labelledby="new-heading">
      <h2 id="new-heading" tabIndex={-1}>
        {fix ? "Change the options" : "New job"}
      </h2>
      <form ref={formElement} onSubmit={onSubmit} noValidate>
        {!fix && <FilePicker />}
        {many > 0 && (
          <ul class="chosen" aria-label="Chosen files">
            {chosen.value.map((one) => (
              <ChosenFile key={one.id} one={one} removable={!fix} />
            ))}
          </ul>
        )}
        <div class={idle ? "options idle" : "options"}>
          <OptionFields />
        </div>
        <div class="row">
          <button class="primary" type="submit">
            {fix
              ? "Submit with these options"
              : many > 1
                ? `Upload ${many} files and start`
                : "Upload and start"}
          </button>
          {fix && (
            <button type="button" onClick={leaveFix}>
              Leave it
            </button>
          )}
        </div>
      </form>
    </section>
  );
}

function FilePicker() {
  const error = fieldErrors.value.file;
  return (
    <div class="drop">
      <input
        id="file"
        class="visually-hidden"
        type="file"
        multiple
        accept={ACCEPT}
        aria-invalid={error !== undefined}
        aria-describedby="file-help file-error"
        onChange={(event) => {
          choose(event.currentTarget.files ?? []);
          event.currentTarget.value = ""; // so that the same file can be chosen again
        }}
      />
      <label class="button" for="file">
        Choose videos
      </label>
      <p id="file-help" class="help">
        or drop them anywhere on this page. Several make several jobs. A zip of photos is fine too.
      </p>
      <FieldError id="file-error" sentence={error} />
      <div role="alert">
        {fileComplaints.value.map((sentence) => (
          <p class="error" key={sentence}>
            {sentence}
          </p>
        ))}
      </div>
    </div>
  );
}

function ChosenFile(props: { one: Chosen; removable: boolean }) {
  const { id, file, title } = props.one;
  const error = fieldErrors.value[`title-${id}`];
  const write = (text: string) => {
    chosen.value = chosen.value.map((one) => (one.id === id ? { ...one, title: text } : one));
    if (error !== undefined) fieldErrors.value = { ...fieldErrors.value, [`title-${id}`]: undefined };
  };
  return (
    <li>
      <p class="file-name">
        <bdi>{file.name}</bdi> <span class="help">{bytes(file.size)}</span>
      </p>
      <div class="field">
        <label for={`title-${id}`}>Title</label>
        <div class="row">
          <input
            id={`title-${id}`}
            dir="auto"
            autocomplete="off"
            value={title}
            onInput={(event) => write(event.currentTarget.value)}
            aria-invalid={error !== undefined}
            aria-describedby={`title-${id}-error`}
          />
          {props.removable && (
            <button type="button" onClick={() => removeAndFocus(id)}>
              Remove<span class="visually-hidden"> {file.name}</span>
            </button>
          )}
        </div>
        <FieldError id={`title-${id}-error`} sentence={error} />
      </div>
    </li>
  );
}

function removeAndFocus(id: number): void {
  unchoose(id);
  document.getElementById("file")?.focus();
}

function leaveFix(): void {
  fixing.value = null;
  chosen.value = [];
  fieldErrors.value = {};
  document.getElementById("new-heading")?.focus();
}

function firstWrong(form: HTMLFormElement): HTMLElement | null {
  return form.querySelector<HTMLElement>("[aria-invalid=true]");
}

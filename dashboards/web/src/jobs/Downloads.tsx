import { useRef } from "preact/hooks";
import type { JobDetail } from "../common/api";
import { bytes } from "../common/format";
import { download } from "./actions";
import { fileChoices } from "./jobText";

/** What of a job can be downloaded, with sizes. */
export function Downloads(props: { job: JobDetail }) {
  const menu = useRef<HTMLDetailsElement>(null);
  const choices = fileChoices(props.job);
  if (choices.length === 0) return null;
  const close = (giveFocusBack: boolean) => {
    menu.current!.open = false;
    if (giveFocusBack) menu.current!.querySelector("summary")!.focus();
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key !== "Escape" || !menu.current!.open) return;
    event.preventDefault();
    close(true);
  };
  const onFocusOut = (event: FocusEvent) => {
    const next = event.relatedTarget as Node | null;
    if (next !== null && !menu.current!.contains(next)) close(false);
  };
  const pick = (kind: string) => {
    close(true);
    void download(props.job, kind);
  };
  return (
    <details ref={menu} class="menu" name="downloads" onKeyDown={onKeyDown} onFocusOut={onFocusOut}>
      <summary class="button">
        Download<span class="visually-hidden"> files of {props.job.title}</span>
      </summary>
      <ul>
        {choices.map(({ kind, label, bytes: size }) => (
          <li key={kind}>
            <button type="button" class="quiet" onClick={() => pick(kind)}>
              <span>{label}</span> <span class="help">{bytes(size)}</span>
            </button>
          </li>
        ))}
      </ul>
    </details>
  );
}

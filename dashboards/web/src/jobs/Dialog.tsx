import type { ComponentChildren } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";

/** A modal dialog. The browser keeps the focus in it, closes it on Escape and gives the focus back to where it was. */
export function Dialog(props: { heading: string; onClose: () => void; children: ComponentChildren }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useLayoutEffect(() => {
    const element = dialog.current!;
    element.showModal();
    return () => element.close();
  }, []);
  const onBackdrop = (event: MouseEvent) => event.target === dialog.current && props.onClose();
  return (
    <dialog
      ref={dialog}
      class="dialog"
      aria-labelledby="dialog-heading"
      onClose={props.onClose}
      onMouseDown={onBackdrop}
    >
      <div class="dialog-body">
        <h2 id="dialog-heading">{props.heading}</h2>
        {props.children}
      </div>
    </dialog>
  );
}

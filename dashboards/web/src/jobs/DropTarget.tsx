import { useEffect } from "preact/hooks";
import { choose } from "./choose";
import { dialog, dragging, key, readOnly } from "./state";

/** The whole page takes files that are dragged over it. */
export function DropTarget() {
  useEffect(() => {
    let depth = 0; // dragenter and dragleave come for every element on the way
    const holdsFiles = (event: DragEvent) => event.dataTransfer?.types.includes("Files") ?? false;
    const takes = () => key.value !== null && !readOnly.value && dialog.value === null;
    const enter = (event: DragEvent) => {
      if (!holdsFiles(event)) return;
      event.preventDefault();
      depth += 1;
      dragging.value = takes();
    };
    const over = (event: DragEvent) => {
      if (!holdsFiles(event)) return;
      event.preventDefault(); // else the browser opens the file in place of the page
      event.dataTransfer!.dropEffect = takes() ? "copy" : "none";
    };
    const leave = () => {
      depth = Math.max(0, depth - 1);
      if (depth === 0) dragging.value = false;
    };
    const drop = (event: DragEvent) => {
      depth = 0;
      dragging.value = false;
      if (!holdsFiles(event)) return;
      event.preventDefault();
      if (!takes()) return;
      choose(event.dataTransfer!.files);
      document.getElementById("new-heading")?.focus();
    };
    const pairs = { dragenter: enter, dragover: over, dragleave: leave, drop } as const;
    for (const [name, listener] of Object.entries(pairs))
      window.addEventListener(name, listener as EventListener);
    return () => {
      for (const [name, listener] of Object.entries(pairs))
        window.removeEventListener(name, listener as EventListener);
    };
  }, []);
  if (!dragging.value) return null;
  return (
    <div class="overlay" aria-hidden="true">
      <p>Drop to make a job of it</p>
    </div>
  );
}

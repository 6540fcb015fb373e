import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { IconButton } from "./icons";
import { type Panel, panel } from "./state";

/** A panel beside the picture. Not modal: the scene stays in reach. */
export function Frame({
  name,
  title,
  children,
}: {
  name: Panel;
  title: string;
  children: ComponentChildren;
}) {
  const ref = useRef<HTMLElement>(null);
  useEffect(() => ref.current?.focus(), []);
  return (
    <section
      class="panel"
      role="dialog"
      aria-labelledby="panel-title"
      tabIndex={-1}
      ref={ref}
      data-panel={name}
    >
      <header>
        <h2 id="panel-title">{title}</h2>
        <IconButton icon="close" label="Close" onClick={() => (panel.value = null)} />
      </header>
      {children}
    </section>
  );
}

/** Keys that stand for buttons. */

import { useLayoutEffect } from "preact/hooks";
import { takesKeys } from "./keys";
import { type Panel, panel, say, tool } from "./state";
import type { Viewer } from "./viewer";

export function togglePanel(name: Panel): void {
  panel.value = panel.value === name ? null : name;
}

export function toggleMeasure(): void {
  tool.value = tool.value === "measure" ? null : "measure";
}

export function toggleFullScreen(root: HTMLElement | null): void {
  if (document.fullscreenElement) void document.exitFullscreen();
  else root?.requestFullscreen().catch(() => say("The browser doesn't allow full screen here.", true));
}

/** Ends what is open, the topmost first. */
function escape(): void {
  if (panel.value !== null) panel.value = null;
  else tool.value = null;
}

/** Listens while the scene is shown; not in frames of other pages. */
export function Shortcuts({ viewer, root }: { viewer: Viewer; root: () => HTMLElement | null }) {
  useLayoutEffect(() => {
    const acts: Record<string, () => void> = {
      r: () => tool.value !== "compare" && viewer.reset(),
      f: () => toggleFullScreen(root()),
      m: toggleMeasure,
      "?": () => togglePanel("help"),
      Escape: escape,
    };
    const ending = new AbortController();
    addEventListener(
      "keydown",
      (event) => {
        const act = acts[event.key.length === 1 ? event.key.toLowerCase() : event.key];
        if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
        if (event.key !== "Escape" && takesKeys(event)) return;
        act();
      },
      { signal: ending.signal },
    );
    return () => ending.abort();
  }, [viewer]);
  return null;
}

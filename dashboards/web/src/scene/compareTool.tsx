/** A photo that training never saw, and the scene from the same place, with a line between them to move. */

import { useEffect, useMemo, useState } from "preact/hooks";
import { bytes } from "../common/format";
import { FileError } from "./files";
import { heldOutViews } from "./handle";
import { BadViews, type HeldOutView, poseOfView } from "./heldout";
import { IconButton } from "./icons";
import { say, tool } from "./state";
import { tick } from "./tick";
import type { Viewer } from "./viewer";

export function CompareTool({ viewer }: { viewer: Viewer }) {
  const [views, setViews] = useState<HeldOutView[] | null>(null);
  const [loaded, setLoaded] = useState("");
  const [index, setIndex] = useState(0);

  useEffect(() => {
    let wanted = true;
    heldOutViews((done, total) => setLoaded(`${bytes(done)} of ${bytes(total)}`)).then(
      (found) =>
        wanted && (found.length ? setViews(found) : leave("This scene has no pictures to compare with.")),
      (error) => wanted && leave(sentence(error)),
    );
    return () => {
      wanted = false;
    };
  }, []);

  const view = views?.[index];
  useEffect(() => {
    if (view) viewer.showLens(view, poseOfView(view, viewer.focusDistance));
  }, [view]);
  useEffect(() => () => viewer.showLens(null, null), [viewer]);

  const step = (by: number) => setIndex((now) => (now + by + views!.length) % views!.length);
  return (
    <>
      {view && <Wipe view={view} viewer={viewer} />}
      <div class="bar-of-tool">
        {views === null ? (
          <p role="status">Loading the photos {loaded}</p>
        ) : (
          <>
            <IconButton icon="before" label="Previous view" onClick={() => step(-1)} />
            <label class="which">
              <span class="visually-hidden">Held-out view</span>
              <select value={index} onChange={(event) => setIndex(Number(event.currentTarget.value))}>
                {views.map(({ name }, i) => (
                  <option key={i} value={i}>
                    {`${i + 1} of ${views.length}: ${name}`}
                  </option>
                ))}
              </select>
            </label>
            <IconButton icon="after" label="Next view" onClick={() => step(1)} />
          </>
        )}
        <IconButton icon="close" label="End comparing" onClick={() => (tool.value = null)} />
      </div>
    </>
  );
}

function leave(text: string): void {
  say(text, true);
  tool.value = null;
}

function sentence(error: unknown): string {
  return error instanceof BadViews || error instanceof FileError
    ? error.message
    : "The photos can't be loaded just now.";
}

/** Left of the line is the photo, right of it the scene. */
function Wipe({ view, viewer }: { view: HeldOutView; viewer: Viewer }) {
  const [percent, setPercent] = useState(50);
  void tick.value; // the picture's place changes with the window
  const { left, top, width, height } = viewer.picture;
  const url = useMemo(
    () => URL.createObjectURL(new Blob([view.photo as BlobPart], { type: "image/jpeg" })),
    [view],
  );
  useEffect(() => () => URL.revokeObjectURL(url), [url]);

  const set = (value: number) => setPercent(Math.max(0, Math.min(100, value)));
  function drag(event: PointerEvent & { currentTarget: HTMLElement }) {
    if (event.type === "pointerdown") event.currentTarget.setPointerCapture(event.pointerId);
    else if (event.buttons === 0) return;
    const frame = event.currentTarget.getBoundingClientRect();
    set(((event.clientX - frame.left) / frame.width) * 100);
  }
  function press(event: KeyboardEvent) {
    const by = STEPS[event.key];
    if (event.key === "Home") set(0);
    else if (event.key === "End") set(100);
    else if (by !== undefined) set(percent + by);
    else return;
    event.preventDefault();
  }
  const box = { left: `${left}px`, top: `${top}px`, width: `${width}px`, height: `${height}px` };
  const shown = Math.round(percent);
  return (
    <div class="wipe" style={box} onPointerDown={drag} onPointerMove={drag}>
      <img
        src={url}
        alt={`Photo ${view.name}`}
        draggable={false}
        style={{ clipPath: `inset(0 ${100 - percent}% 0 0)` }}
      />
      <span class="tag photo" hidden={percent < 12}>
        Photo
      </span>
      <span class="tag scene" hidden={percent > 88}>
        Scene
      </span>
      <div
        class="line"
        style={{ left: `${percent}%` }}
        role="slider"
        tabIndex={0}
        aria-label="Line between photo and scene"
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={shown}
        aria-valuetext={`${shown} % photo, ${100 - shown} % scene`}
        onKeyDown={press}
      >
        <span class="grip" />
      </div>
    </div>
  );
}

const STEPS: Record<string, number> = {
  ArrowLeft: -2,
  ArrowDown: -2,
  ArrowRight: 2,
  ArrowUp: 2,
  PageDown: -10,
  PageUp: 10,
};

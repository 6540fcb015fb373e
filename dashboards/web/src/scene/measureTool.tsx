/** The distance between two points of the scene. */

import { useLayoutEffect, useState } from "preact/hooks";
import type { Vec3 } from "../common/api";
import { norm, sub } from "./camera";
import { IconButton } from "./icons";
import { measured } from "./length";
import { say, tool } from "./state";
import { tick } from "./tick";
import type { Viewer } from "./viewer";

const TAP_PX = 7;
const TAP_MS = 600;

interface Props {
  viewer: Viewer;
  stage: HTMLElement;
  metric: boolean;
}

export function MeasureTool({ viewer, stage, metric }: Props) {
  const [points, setPoints] = useState<Vec3[]>([]);

  // Before the next event: a click may follow at once.
  useLayoutEffect(() => {
    const ending = new AbortController();
    const { signal } = ending;
    let down: PointerEvent | null = null;
    const set = (x: number, y: number) => {
      const point = viewer.pick(x, y);
      if (point === null) say("There is nothing solid to measure from at this place.", true);
      else setPoints((before) => (before.length === 2 ? [point] : [...before, point]));
    };
    stage.addEventListener(
      "pointerdown",
      (event) => (down = down === null && event.button === 0 ? event : null),
      { signal },
    );
    stage.addEventListener(
      "pointerup",
      (event) => {
        const tapped =
          down?.pointerId === event.pointerId &&
          Math.hypot(event.clientX - down.clientX, event.clientY - down.clientY) < TAP_PX &&
          event.timeStamp - down.timeStamp < TAP_MS;
        down = null;
        const frame = stage.getBoundingClientRect();
        if (tapped) set(event.clientX - frame.left, event.clientY - frame.top);
      },
      { signal },
    );
    stage.addEventListener("pointercancel", () => (down = null), { signal });
    stage.addEventListener(
      "keydown",
      (event) => event.key === "Enter" && set(stage.clientWidth / 2, stage.clientHeight / 2),
      { signal },
    );
    stage.focus();
    return () => ending.abort();
  }, [viewer, stage]);

  const length = points.length === 2 ? measured(norm(sub(points[1]!, points[0]!)), metric) : null;
  const note = metric ? "" : " This scene is not to scale: units are the reconstruction's own.";
  return (
    <>
      <Drawing viewer={viewer} points={points} length={length} />
      <div class="bar-of-tool">
        <p role="status" data-length={length ?? undefined}>
          {length === null
            ? `${points.length === 0 ? "Choose two points" : "Choose the second point"}: click or tap, or aim the cross and press Enter.`
            : `Distance: ${length}.${note}`}
        </p>
        <IconButton icon="clear" label="Clear the measurement" onClick={() => setPoints([])} />
        <IconButton icon="close" label="End measuring" onClick={() => (tool.value = null)} />
      </div>
    </>
  );
}

/** Over the picture, redrawn with it. */
function Drawing({ viewer, points, length }: { viewer: Viewer; points: Vec3[]; length: string | null }) {
  void tick.value;
  const [a, b] = points.map((point) => viewer.project(point));
  return (
    <>
      <span class="cross" aria-hidden="true" />
      <svg class="drawing" aria-hidden="true">
        {a && b && <line x1={a.x} y1={a.y} x2={b.x} y2={b.y} />}
        {[a, b].map((p, i) => p && <circle key={i} cx={p.x} cy={p.y} r={6} />)}
        {a && b && length && (
          <text x={(a.x + b.x) / 2} y={(a.y + b.y) / 2 - 12}>
            {length}
          </text>
        )}
      </svg>
    </>
  );
}

/** Views that training never saw: the photos and their cameras, in the archive that `tasks/export/views.py` writes. */

import { unzipSync } from "fflate";
import { quaternionOf, type Intrinsics, type Pose, WORLD_UP } from "./camera";

export interface HeldOutView extends Intrinsics {
  name: string;
  /** The photo, JPEG. */
  photo: Uint8Array;
  /** Rows of `world_from_camera`, y-up. */
  worldFromCamera: number[][];
}

export class BadViews extends Error {}

/** Reads `views.zip`. Throws `BadViews`. */
export function readViews(archive: Uint8Array): HeldOutView[] {
  let files: Record<string, Uint8Array>;
  let told: { version?: unknown; frame?: unknown; views?: unknown };
  try {
    files = unzipSync(archive);
    told = JSON.parse(new TextDecoder().decode(files["views.json"]));
  } catch {
    throw new BadViews("The comparison pictures can't be read.");
  }
  if (told?.version !== 1 || told.frame !== "RUB" || !Array.isArray(told.views))
    throw new BadViews("The comparison pictures are of a version that this page doesn't know.");
  return told.views.map((view) => readView(view, files));
}

function readView(told: Record<string, unknown>, files: Record<string, Uint8Array>): HeldOutView {
  const numbers = Object.fromEntries(NUMBERS.map((name) => [name, told[name]])) as unknown as Intrinsics;
  const matrix = told.world_from_camera as number[][];
  const photo = files[String(told.file)];
  const fits =
    NUMBERS.every((name) => Number.isFinite(numbers[name])) &&
    Math.min(numbers.width, numbers.height, numbers.fx, numbers.fy) > 0 &&
    Array.isArray(matrix) &&
    matrix.length === 4 &&
    matrix.every((row) => Array.isArray(row) && row.length === 4 && row.every(Number.isFinite));
  if (!fits || photo === undefined) throw new BadViews("A comparison picture is damaged.");
  return { name: String(told.name), photo, worldFromCamera: matrix, ...numbers };
}

const NUMBERS = ["width", "height", "fx", "fy", "cx", "cy"] as const;

/** Where the photo was taken. */
export function poseOfView(view: HeldOutView, distance: number): Pose {
  const m = view.worldFromCamera;
  const column = (c: number) => ({ x: m[0]![c]!, y: m[1]![c]!, z: m[2]![c]! });
  return {
    position: column(3),
    orientation: quaternionOf(column(0), column(1), column(2)),
    distance,
    axis: WORLD_UP,
  };
}

/** `window.splatflow`: what tests and pages that frame a scene of the same origin may use. */

import type { CameraData } from "../common/api";
import { type HeldOutView, poseOfView, readViews } from "./heldout";
import { files } from "./state";
import type { Viewer } from "./viewer";

export interface Handle {
  /** Resolves when the scene is loaded and its first picture complete. */
  ready: Promise<void>;
  camera(): CameraData;
  setCamera(camera: CameraData): void;
  /** Exactly the camera of a held-out view, letterboxed to its aspect; null goes back. */
  showView(index: number | null): Promise<void>;
  /** Resolves when the splats are sorted for the view of now and that picture is drawn. */
  settled(): Promise<void>;
  /** PNG of the canvas. */
  capture(): Promise<Blob>;
  /** How many pictures were drawn so far. It doesn't grow while nothing changes. */
  renderedFrames(): number;
}

declare global {
  interface Window {
    splatflow?: Handle;
  }
}

let viewer: Viewer | null = null;
let opened: () => void;
let views: Promise<HeldOutView[]> | null = null;

function now(): Viewer {
  if (viewer === null) throw new Error("No scene is shown; wait for splatflow.ready.");
  return viewer;
}

/** The held-out views, fetched once. */
export function heldOutViews(
  progress: (done: number, total: number) => void = () => {},
): Promise<HeldOutView[]> {
  views ??= files!
    .bytes("views", progress, new AbortController().signal)
    .then(readViews)
    .catch((error: unknown) => {
      views = null; // it may be asked for again
      throw error;
    });
  return views;
}

export function expose(): void {
  window.splatflow = {
    ready: new Promise((resolve) => (opened = resolve)),
    camera: () => now().cameraData(),
    setCamera: (camera) => now().setCamera(camera),
    async showView(index) {
      if (index === null) return now().showLens(null, null);
      const view = (await heldOutViews())[index];
      if (view === undefined) throw new RangeError(`There is no held-out view ${index}.`);
      now().showLens(view, poseOfView(view, now().focusDistance));
    },
    settled: () => now().settled(),
    capture: () => now().capture(),
    renderedFrames: () => now().renderedFrames(),
  };
}

/** The page shows this viewer now; null: none any more. */
export async function attach(shown: Viewer | null): Promise<void> {
  viewer = shown;
  views = null;
  if (shown === null) return;
  await shown.settled();
  opened?.();
}

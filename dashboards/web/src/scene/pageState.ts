/** Which page is right for what is known. */

import type { SceneData, ScenePageData } from "../common/pageData";

export type SceneEnd = "gone" | "expired";
export type PageKind = "viewer" | "picture" | "live" | "failed" | "unavailable" | "expired" | "gone";

/**
 * @param told what the service wrote into the page.
 * @param scene the newest data; null: there never was any.
 * @param end why the scene can't be looked at any more.
 * @param webgl2 whether the browser can draw scenes.
 */
export function pageKind(
  told: ScenePageData["state"],
  scene: SceneData | null,
  end: SceneEnd | null,
  webgl2: boolean,
): PageKind {
  if (end !== null) return end;
  if (scene === null) return told === "expired" ? "expired" : "unavailable";
  if (scene.state === "failed") return "failed";
  if (scene.state === "waiting") return "live";
  return webgl2 && (scene.files.spz || scene.files.ply) ? "viewer" : "picture";
}

/** Steps that every scene goes through; the others are shown once they were seen. */
const ALWAYS = new Set(["extract", "sfm", "train", "export"]);
const STEPS: [step: string, text: string][] = [
  ["extract", "Choose sharp frames"],
  ["mask", "Cut out the subject"],
  ["sfm", "Find where the camera was"],
  ["scale", "Measure the true size"],
  ["train", "Train the scene"],
  ["mesh", "Make the surface"],
  ["turntable", "Film the turntable"],
  ["export", "Write the files"],
];

export interface ShownStep {
  step: string;
  text: string;
  state: "done" | "current" | "ahead";
}

/**
 * The steps in their order. Whether an optional one is wanted, the page is not told: it is listed once it runs.
 *
 * @param seen steps that ran while the page was open.
 */
export function shownSteps(current: string | null, seen: ReadonlySet<string>): ShownStep[] {
  const now = STEPS.findIndex(([step]) => step === current);
  return STEPS.flatMap(([step, text], index) =>
    ALWAYS.has(step) || seen.has(step) || step === current
      ? [{ step, text, state: index < now ? "done" : index === now ? "current" : "ahead" } as const]
      : [],
  );
}

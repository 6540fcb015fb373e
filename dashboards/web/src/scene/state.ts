/** What the page knows and shows, as signals. */

import { computed, signal } from "@preact/signals";
import { pageData, type SceneData, type ScenePageData } from "../common/pageData";
import { storedKey } from "../common/session";
import { SceneFiles } from "./files";
import { pageKind, type SceneEnd } from "./pageState";

export type Panel = "info" | "look" | "share" | "help";
export type Tool = "measure" | "compare";

export const told = pageData<ScenePageData>() ?? { embed: false, state: "unavailable", scene: null };
export const scene = signal<SceneData | null>(told.scene);
export const files = told.scene === null ? null : new SceneFiles(told.scene);
export const end = signal<SceneEnd | null>(null);
export const away = signal(false);
export const key = signal(told.embed ? null : storedKey());
export const seenSteps = signal<ReadonlySet<string>>(new Set());
/** Taken for granted until it was asked for, after the first paint: asking starts the graphics card. */
export const webgl2 = signal(true);
export const page = computed(() => pageKind(told.state, scene.value, end.value, webgl2.value));

export const panel = signal<Panel | null>(null);
export const tool = signal<Tool | null>(null);
export const background = signal("#000000");
export const exposureEv = signal(0);

/** Takes over what the service says now. */
export function learn(next: SceneData): void {
  files?.renew(next);
  if (next.current_step !== null && !seenSteps.value.has(next.current_step))
    seenSteps.value = new Set([...seenSteps.value, next.current_step]);
  scene.value = next;
  document.title = next.title;
}

export interface Toast {
  text: string;
  bad: boolean;
}

export const toast = signal<Toast | null>(null);
let toastTimer = 0;

export function say(text: string, bad = false): void {
  toast.value = { text, bad };
  clearTimeout(toastTimer);
  toastTimer = window.setTimeout(() => (toast.value = null), bad ? 9000 : 5000);
}

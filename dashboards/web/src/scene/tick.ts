import { signal } from "@preact/signals";

/** Counts the pictures that the viewer drew: what lies over the picture moves with it. */
export const tick = signal(0);

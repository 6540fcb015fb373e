import type * as THREE from "three";
import type { Pose } from "./camera";
import type { Wish } from "./keys";

/** A way to move the camera. Both ways take over from each other without a jump. */
export interface Controls {
  readonly camera: THREE.PerspectiveCamera;
  pose(): Pose;
  /** Moves on by some time. Returns whether the camera still moves. */
  update(seconds: number, wish: Wish): boolean;
  dispose(): void;
}

export const TURN_PER_SECOND = 1.4; // radians, at full deflection
export const MOVE_PER_SECOND = 0.6; // of the scene's reach
export const FAST = 4;

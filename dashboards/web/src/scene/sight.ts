/** Between points of the scene and places in the picture. */

import type { SplatMesh } from "@sparkjsdev/spark";
import * as THREE from "three";
import type { Vec3 } from "../common/api";
import { depthAlong } from "./pick";

/** Of the picture within the stage, CSS pixels. */
export interface Rect {
  left: number;
  top: number;
  width: number;
  height: number;
}

const FINGER_PX = 1.5; // by so much a pick is wider than a mathematical ray

/** What is at a place of the stage; null: nothing solid. */
export function pointAt(
  mesh: SplatMesh,
  camera: THREE.PerspectiveCamera,
  { left, top, width, height }: Rect,
  x: number,
  y: number,
): Vec3 | null {
  const ndc = new THREE.Vector3(((x - left) / width) * 2 - 1, 1 - ((y - top) / height) * 2, 0.5);
  const direction = ndc.unproject(camera).sub(camera.position).normalize();
  const meshFromWorld = mesh.matrixWorld.clone().invert();
  const depth = depthAlong(
    (visit) =>
      mesh.forEachSplat((_index, center, scales, q, opacity) =>
        visit(center, scales, [q.x, q.y, q.z, q.w], opacity),
      ),
    camera.position.clone().applyMatrix4(meshFromWorld),
    direction.clone().transformDirection(meshFromWorld),
    camera.near,
    (2 * FINGER_PX) / (height * camera.projectionMatrix.elements[5]!),
  );
  if (depth === null) return null;
  const point = camera.position.clone().addScaledVector(direction, depth);
  return { x: point.x, y: point.y, z: point.z };
}

/** Where a point is on the stage; null: behind the camera. */
export function placeOf(
  point: Vec3,
  camera: THREE.PerspectiveCamera,
  { left, top, width, height }: Rect,
): { x: number; y: number } | null {
  const p = new THREE.Vector3(point.x, point.y, point.z).applyMatrix4(camera.matrixWorldInverse);
  if (p.z > -camera.near) return null;
  p.applyMatrix4(camera.projectionMatrix);
  return { x: left + ((p.x + 1) / 2) * width, y: top + ((1 - p.y) / 2) * height };
}

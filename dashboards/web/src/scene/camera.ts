/**
 * Cameras as numbers, without a renderer. All frames are y-up (RUB): a camera looks along its own -z, x is right and y up, as in
 * OpenGL, three.js, the SPZ and `camera_data`. Quaternions are x, y, z, w. Pixel (0, 0) is the corner of the first pixel.
 */

import type { CameraData, CameraType, Vec3 } from "../common/api";

export type Quaternion = readonly [number, number, number, number];

/** Where a camera is, `world_from_camera`, and what it turns about. */
export interface Pose {
  position: Vec3;
  orientation: Quaternion;
  /** Of the point that an orbit turns about, straight ahead. */
  distance: number;
  /** Unit vector: "up" for the controls; it need not be the picture's own up. */
  axis: Vec3;
}

/** A pinhole camera of a picture, in its pixels. */
export interface Intrinsics {
  width: number;
  height: number;
  fx: number;
  fy: number;
  cx: number;
  cy: number;
}

export const WORLD_UP: Vec3 = { x: 0, y: 1, z: 0 };
const LEVEL = 1e-9; // radians of roll that are none
const NO_DIRECTION = 1e-12;

export const add = (a: Vec3, b: Vec3): Vec3 => ({ x: a.x + b.x, y: a.y + b.y, z: a.z + b.z });
export const sub = (a: Vec3, b: Vec3): Vec3 => ({ x: a.x - b.x, y: a.y - b.y, z: a.z - b.z });
export const scaled = (a: Vec3, f: number): Vec3 => ({ x: a.x * f, y: a.y * f, z: a.z * f });
export const dot = (a: Vec3, b: Vec3): number => a.x * b.x + a.y * b.y + a.z * b.z;
export const norm = (a: Vec3): number => Math.hypot(a.x, a.y, a.z);
export const cross = (a: Vec3, b: Vec3): Vec3 => ({
  x: a.y * b.z - a.z * b.y,
  y: a.z * b.x - a.x * b.z,
  z: a.x * b.y - a.y * b.x,
});
export const unit = (a: Vec3): Vec3 => scaled(a, 1 / norm(a));

export function rotated([x, y, z, w]: Quaternion, v: Vec3): Vec3 {
  const q = { x, y, z };
  const t = scaled(cross(q, v), 2);
  return add(add(v, scaled(t, w)), cross(q, t));
}

/** Of the rotation whose columns are given: right, up and backward, orthonormal. */
export function quaternionOf(right: Vec3, up: Vec3, back: Vec3): Quaternion {
  const trace = right.x + up.y + back.z;
  let q: [number, number, number, number];
  if (trace > 0) {
    const s = 2 * Math.sqrt(trace + 1);
    q = [(up.z - back.y) / s, (back.x - right.z) / s, (right.y - up.x) / s, s / 4];
  } else if (right.x > up.y && right.x > back.z) {
    const s = 2 * Math.sqrt(1 + right.x - up.y - back.z);
    q = [s / 4, (up.x + right.y) / s, (back.x + right.z) / s, (up.z - back.y) / s];
  } else if (up.y > back.z) {
    const s = 2 * Math.sqrt(1 + up.y - right.x - back.z);
    q = [(up.x + right.y) / s, s / 4, (back.y + up.z) / s, (back.x - right.z) / s];
  } else {
    const s = 2 * Math.sqrt(1 + back.z - right.x - up.y);
    q = [(back.x + right.z) / s, (back.y + up.z) / s, s / 4, (right.y - up.x) / s];
  }
  const length = Math.hypot(...q);
  return [q[0] / length, q[1] / length, q[2] / length, q[3] / length];
}

/** Looks along `forward`; what can't be told from `up` (a look straight along it) is taken from another direction. */
export function looking(forward: Vec3, up: Vec3): Quaternion {
  const back = scaled(unit(forward), -1);
  let right = cross(up, back);
  if (norm(right) < 1e-9 * (norm(up) || 1)) right = cross({ x: 0, y: 0, z: -1 }, back);
  if (norm(right) < 1e-9) right = cross({ x: 1, y: 0, z: 0 }, back);
  right = unit(right);
  return quaternionOf(right, cross(back, right), back);
}

/** The pose that `camera_data` describes. The controls' axis is the world's up unless the picture is rolled against it. */
export function poseOf(data: CameraData): Pose {
  let offset = sub(data.lookAt, data.position);
  let distance = norm(offset);
  if (!(distance > NO_DIRECTION)) [offset, distance] = [{ x: 0, y: 0, z: -1 }, 1];
  const up = norm(data.up) > NO_DIRECTION ? unit(data.up) : WORLD_UP;
  const orientation = looking(offset, up);
  return {
    position: data.position,
    orientation,
    distance,
    axis: rolled(orientation, WORLD_UP) ? up : WORLD_UP,
  };
}

/** What `poseOf` reads back as the same pose: `up` is the picture's own, so that no roll is lost. */
export function dataOf(pose: Pose, cameraType: CameraType): CameraData {
  return {
    position: { ...pose.position },
    lookAt: focusOf(pose),
    up: rotated(pose.orientation, { x: 0, y: 1, z: 0 }),
    cameraType,
  };
}

/** What an orbit turns about. */
export const focusOf = (pose: Pose): Vec3 => add(pose.position, scaled(forwardOf(pose), pose.distance));

export const forwardOf = (pose: Pick<Pose, "orientation">): Vec3 =>
  rotated(pose.orientation, { x: 0, y: 0, z: -1 });

/** Whether the picture's horizon is not level when `axis` is up. */
function rolled(orientation: Quaternion, axis: Vec3): boolean {
  const right = rotated(orientation, { x: 1, y: 0, z: 0 });
  const up = rotated(orientation, { x: 0, y: 1, z: 0 });
  return Math.abs(dot(right, axis)) > LEVEL * Math.max(1, 1 / norm(axis)) || dot(up, axis) < 0;
}

/** What a viewer shows who has no lens prescribed: degrees from bottom to top. Upright pictures see higher, so that they also see something sideways. */
export function verticalFovDeg(aspect: number): number {
  const wide = (2 * Math.atan(Math.tan((LEAST_ACROSS_DEG * Math.PI) / 360) / aspect) * 180) / Math.PI;
  return Math.min(MOST_DEG, Math.max(FOV_DEG, wide));
}
const FOV_DEG = 50;
const LEAST_ACROSS_DEG = 38;
const MOST_DEG = 75;

/** OpenGL's projection (column-major, 16 numbers) of a pinhole camera, its principal point wherever it is. */
export function projectionOf(K: Intrinsics, near: number, far: number): number[] {
  const { width, height, fx, fy, cx, cy } = K;
  const depth = far - near;
  return [
    ...[(2 * fx) / width, 0, 0, 0],
    ...[0, (2 * fy) / height, 0, 0],
    ...[1 - (2 * cx) / width, (2 * cy) / height - 1, -(far + near) / depth, -1],
    ...[0, 0, (-2 * far * near) / depth, 0],
  ];
}

/** The pixel of a point of the camera's frame, through a projection as above. */
export function pixelOf(
  projection: readonly number[],
  point: Vec3,
  width: number,
  height: number,
): [number, number] {
  const row = (r: number) =>
    projection[r]! * point.x +
    projection[4 + r]! * point.y +
    projection[8 + r]! * point.z +
    projection[12 + r]!;
  const w = row(3);
  return [((row(0) / w + 1) / 2) * width, ((1 - row(1) / w) / 2) * height];
}

/** The largest rectangle of the aspect of a picture within a frame, in whole pixels, centred. */
export function letterbox(
  frame: { width: number; height: number },
  picture: { width: number; height: number },
): { left: number; top: number; width: number; height: number } {
  const factor = Math.min(frame.width / picture.width, frame.height / picture.height);
  const width = Math.max(1, Math.min(frame.width, Math.round(picture.width * factor)));
  const height = Math.max(1, Math.min(frame.height, Math.round(picture.height * factor)));
  return {
    left: Math.floor((frame.width - width) / 2),
    top: Math.floor((frame.height - height) / 2),
    width,
    height,
  };
}

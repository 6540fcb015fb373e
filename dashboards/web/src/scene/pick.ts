/** What a ray meets in a scene of splats, that have no surface. */

import type { Vec3 } from "../common/api";
import type { Quaternion } from "./camera";

/** Calls back with every splat, in the frame of the ray; `scales` are the standard deviations along the splat's axes. */
export type EachSplat = (
  visit: (center: Vec3, scales: Vec3, orientation: Quaternion, opacity: number) => void,
) => void;

const FAINT = 1 / 255;
const HALF = 0.5;

/**
 * How far along the ray half of the light is taken: the median depth of what the picture shows there. null: not even half of it is.
 *
 * A splat's part is its opacity at the ray's densest point in it, as the renderers of this kind evaluate it along the ray.
 *
 * @param direction unit vector.
 * @param radius standard deviation that is added to every splat, for the width of a finger; in the scene's unit at distance 1.
 */
export function depthAlong(
  each: EachSplat,
  origin: Vec3,
  direction: Vec3,
  nearest: number,
  radius: number,
): number | null {
  const met: { depth: number; alpha: number }[] = [];
  each((center, scales, orientation, opacity) => {
    if (!(opacity > FAINT)) return;
    const ox = origin.x - center.x;
    const oy = origin.y - center.y;
    const oz = origin.z - center.z;
    const along = -(ox * direction.x + oy * direction.y + oz * direction.z);
    if (along < nearest) return;
    const px = ox + along * direction.x;
    const py = oy + along * direction.y;
    const pz = oz + along * direction.z;
    const widen = radius * along;
    const reach = 3 * (Math.max(scales.x, scales.y, scales.z) + widen);
    if (px * px + py * py + pz * pz > reach * reach) return;
    // In the splat's own axes, where it is a unit ball: the point of the ray that is nearest to its centre.
    const o = unturned(orientation, ox, oy, oz);
    const d = unturned(orientation, direction.x, direction.y, direction.z);
    const sx = 1 / Math.hypot(scales.x, widen);
    const sy = 1 / Math.hypot(scales.y, widen);
    const sz = 1 / Math.hypot(scales.z, widen);
    const [ax, ay, az] = [o.x * sx, o.y * sy, o.z * sz];
    const [bx, by, bz] = [d.x * sx, d.y * sy, d.z * sz];
    const depth = -(ax * bx + ay * by + az * bz) / (bx * bx + by * by + bz * bz);
    if (depth < nearest) return;
    const [x, y, z] = [ax + depth * bx, ay + depth * by, az + depth * bz];
    const alpha = Math.min(0.99, opacity) * Math.exp(-0.5 * (x * x + y * y + z * z));
    if (alpha > FAINT) met.push({ depth, alpha });
  });
  met.sort((a, b) => a.depth - b.depth);
  let left = 1;
  for (const { depth, alpha } of met) {
    left *= 1 - alpha;
    if (left <= HALF) return depth;
  }
  return null;
}

/** A vector in the axes of what is turned by the quaternion. */
function unturned([qx, qy, qz, qw]: Quaternion, x: number, y: number, z: number): Vec3 {
  const tx = 2 * (z * qy - y * qz);
  const ty = 2 * (x * qz - z * qx);
  const tz = 2 * (y * qx - x * qy);
  return {
    x: x - qw * tx + (qy * tz - qz * ty),
    y: y - qw * ty + (qz * tx - qx * tz),
    z: z - qw * tz + (qx * ty - qy * tx),
  };
}

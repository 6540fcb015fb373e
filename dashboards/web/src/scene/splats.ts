/** How Spark draws a scene of ours so that it looks as our own renderer has it. */

import { SparkRenderer, SplatFileType, SplatMesh } from "@sparkjsdev/spark";
import * as THREE from "three";
import type { Vec3 } from "../common/api";

export type SplatKind = "spz" | "ply";

/**
 * Classic 3D Gaussian splatting, as scenes are trained here: 0.3 square pixels added to every splat without a correction of its
 * opacity (see `blurAs`), sorted by depth, colours blended as they are. Precise encodings keep places as float32 where packed ones
 * have halves, for twice the memory. Held-out views of a phone's capture at 240 lines come out 48 dB from what our own renderer
 * makes of the same SPZ, 41 dB for PLY.
 */
export function sparkRenderer(
  renderer: THREE.WebGLRenderer,
  precise: boolean,
  onDirty: () => void,
): SparkRenderer {
  return new SparkRenderer({
    renderer,
    onDirty,
    maxStdDev: Math.sqrt(2 * Math.log(255)), // where an opaque splat falls below 1/255
    minAlpha: 1 / 255,
    ...CLASSIC,
    focalAdjustment: 1,
    sortRadial: false,
    accumExtSplats: precise,
    enableLod: false,
    maxPixelRadius: 4096,
  });
}

/** Adds what the scene was trained with: after antialiased training the opacity makes up for the added size. */
export function blurAs(spark: SparkRenderer, antialiased: boolean): void {
  Object.assign(spark, antialiased ? ANTIALIASED : CLASSIC);
}

const CLASSIC = { preBlurAmount: 0.3, blurAmount: 0 };
const ANTIALIASED = { preBlurAmount: 0, blurAmount: 0.3 };

/** Decodes a file. SPZ is y-up as three is; a PLY of 3D Gaussian splatting has y down and z ahead. */
export async function splatMesh(bytes: Uint8Array, kind: SplatKind, precise: boolean): Promise<SplatMesh> {
  const fileType = kind === "spz" ? SplatFileType.SPZ : SplatFileType.PLY;
  const mesh = new SplatMesh({
    fileBytes: bytes,
    fileType,
    fileName: `scene.${kind}`,
    extSplats: precise,
    lod: false,
    raycastable: false,
  });
  await mesh.initialized;
  if (kind === "ply") mesh.quaternion.set(1, 0, 0, 0);
  mesh.updateMatrixWorld();
  return mesh;
}

const SAMPLES = 4000;

/** Where most of a scene is: the median of its splats and the radius about it that holds four of five. */
export function extentOf(mesh: SplatMesh): { center: Vec3; radius: number } {
  const every = Math.max(1, Math.ceil(countOf(mesh) / SAMPLES));
  const points: THREE.Vector3[] = [];
  mesh.forEachSplat((index, center, _scales, _orientation, opacity) => {
    if (index % every === 0 && opacity > 0.1 && Number.isFinite(center.x + center.y + center.z))
      points.push(center.clone().applyMatrix4(mesh.matrixWorld));
  });
  if (points.length === 0) return { center: { x: 0, y: 0, z: 0 }, radius: 1 };
  const at = (values: number[], part: number) =>
    values.sort((a, b) => a - b)[Math.floor(part * (values.length - 1))]!;
  const center = new THREE.Vector3(
    ...(["x", "y", "z"] as const).map((axis) =>
      at(
        points.map((p) => p[axis]),
        0.5,
      ),
    ),
  );
  const radius = at(
    points.map((p) => p.distanceTo(center)),
    0.8,
  );
  return { center: { x: center.x, y: center.y, z: center.z }, radius: radius > 0 ? radius : 1 };
}

export function countOf(mesh: SplatMesh): number {
  return mesh.splats?.getNumSplats() ?? mesh.extSplats?.numSplats ?? mesh.packedSplats?.numSplats ?? 0;
}

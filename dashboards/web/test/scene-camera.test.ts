import { describe, expect, it } from "vitest";
import type { CameraData, Vec3 } from "../src/common/api";
import {
  add,
  cross,
  dataOf,
  dot,
  forwardOf,
  letterbox,
  looking,
  norm,
  pixelOf,
  poseOf,
  projectionOf,
  rotated,
  scaled,
  sub,
  unit,
  verticalFovDeg,
} from "../src/scene/camera";

const v = (x: number, y: number, z: number): Vec3 => ({ x, y, z });
const apart = (a: Vec3, b: Vec3) => norm(sub(a, b));

/** Numbers that look random and are the same each time. */
function numbers(seed: number): () => number {
  let state = seed;
  return () => ((state = (state * 16807) % 2147483647) / 2147483647) * 2 - 1;
}

function cameras(count: number, { rolled }: { rolled: boolean }): CameraData[] {
  const next = numbers(7);
  return Array.from({ length: count }, () => ({
    position: v(5 * next(), 5 * next(), 5 * next()),
    lookAt: v(next(), next(), next()),
    up: rolled ? unit(v(next(), next(), next())) : v(0, 1, 0),
    cameraType: "drone" as const,
  }));
}

describe("camera_data", () => {
  it.each([true, false])("comes back as the same pose, rolled: %s", (rolled) => {
    for (const data of cameras(50, { rolled })) {
      const pose = poseOf(data);
      const again = poseOf(JSON.parse(JSON.stringify(dataOf(pose, "orbital"))));
      expect(apart(again.position, pose.position)).toBeLessThan(1e-12);
      for (const axis of [v(1, 0, 0), v(0, 1, 0), v(0, 0, 1)])
        expect(apart(rotated(again.orientation, axis), rotated(pose.orientation, axis))).toBeLessThan(1e-12);
      expect(Math.abs(again.distance - pose.distance)).toBeLessThan(1e-12);
    }
  });

  it("is looked through: the look-at point lies straight ahead, up is up", () => {
    for (const data of cameras(20, { rolled: true })) {
      const pose = poseOf(data);
      expect(apart(add(pose.position, scaled(forwardOf(pose), pose.distance)), data.lookAt)).toBeLessThan(
        1e-12,
      );
      const right = rotated(pose.orientation, v(1, 0, 0));
      expect(Math.abs(dot(right, data.up))).toBeLessThan(1e-12);
      expect(dot(rotated(pose.orientation, v(0, 1, 0)), data.up)).toBeGreaterThan(0);
    }
  });

  it("keeps the world's up as the controls' axis when a level view was saved", () => {
    for (const data of cameras(50, { rolled: false })) {
      const saved = dataOf(poseOf(data), "orbital");
      expect(poseOf(saved).axis).toEqual(v(0, 1, 0));
    }
    const rolled = { position: v(0, 0, 2), lookAt: v(0, 0, 0), up: unit(v(1, 1, 0)) };
    expect(apart(poseOf(rolled).axis, rolled.up)).toBe(0);
    const overHead = { position: v(0, 0, 2), lookAt: v(0, 0, 0), up: v(0, -1, 0) };
    expect(poseOf(overHead).axis).toEqual(v(0, -1, 0));
  });

  it("is a pose whatever it holds", () => {
    const odd: CameraData[] = [
      { position: v(1, 2, 3), lookAt: v(1, 2, 3), up: v(0, 1, 0) },
      { position: v(0, 3, 0), lookAt: v(0, 0, 0), up: v(0, 1, 0) },
      { position: v(0, 0, 0), lookAt: v(0, 0, 5), up: v(0, 0, 0) },
      { position: v(0, 0, 0), lookAt: v(0, 0, 5), up: v(0, 0, 1) },
    ];
    for (const data of odd) {
      const pose = poseOf(data);
      expect(pose.orientation.every(Number.isFinite)).toBe(true);
      expect(Math.hypot(...pose.orientation)).toBeCloseTo(1, 12);
      expect(pose.distance).toBeGreaterThan(0);
    }
  });
});

describe("quaternions", () => {
  it("turn -z to the look and keep the frame right-handed", () => {
    const next = numbers(3);
    for (let i = 0; i < 50; i += 1) {
      const forward = v(next(), next(), next());
      const q = looking(forward, v(0, 1, 0));
      expect(apart(rotated(q, v(0, 0, -1)), unit(forward))).toBeLessThan(1e-12);
      const [x, y, z] = [rotated(q, v(1, 0, 0)), rotated(q, v(0, 1, 0)), rotated(q, v(0, 0, 1))];
      expect(apart(cross(x, y), z)).toBeLessThan(1e-12);
    }
  });
});

describe("projection", () => {
  const K = { width: 640, height: 480, fx: 500, fy: 510, cx: 300, cy: 250 };
  const projection = projectionOf(K, 0.01, 100);

  it("puts known points on known pixels, with the principal point off the centre", () => {
    const points: [Vec3, [number, number]][] = [
      [v(0, 0, -2), [300, 250]],
      [v(1, 0, -2), [550, 250]],
      [v(0, 1, -2), [300, -5]], // y is up, pixels count down
      [v(-0.3, -0.2, -4), [300 - 37.5, 250 + 25.5]],
    ];
    for (const [point, pixel] of points) {
      const found = pixelOf(projection, point, K.width, K.height);
      expect(found[0]).toBeCloseTo(pixel[0], 9);
      expect(found[1]).toBeCloseTo(pixel[1], 9);
    }
  });

  it("maps near and far to the ends of the depth range", () => {
    const depth = (z: number) => (projection[10]! * z + projection[14]!) / -z;
    expect(depth(-0.01)).toBeCloseTo(-1, 9);
    expect(depth(-100)).toBeCloseTo(1, 9);
  });

  it("sees wide enough sideways on an upright screen, and never absurdly far up", () => {
    expect(verticalFovDeg(16 / 9)).toBe(50);
    expect(verticalFovDeg(390 / 844)).toBeGreaterThan(60);
    expect(verticalFovDeg(0.1)).toBe(75);
  });
});

describe("letterbox", () => {
  it("is as large as fits, centred, of the picture's aspect", () => {
    expect(letterbox({ width: 320, height: 240 }, { width: 640, height: 480 })).toEqual({
      left: 0,
      top: 0,
      width: 320,
      height: 240,
    });
    expect(letterbox({ width: 1000, height: 500 }, { width: 300, height: 600 })).toEqual({
      left: 375,
      top: 0,
      width: 250,
      height: 500,
    });
    expect(letterbox({ width: 390, height: 844 }, { width: 960, height: 540 })).toEqual({
      left: 0,
      top: 312,
      width: 390,
      height: 219,
    });
  });

  it("never leaves the frame nor vanishes", () => {
    const box = letterbox({ width: 7, height: 5 }, { width: 100_000, height: 1 });
    expect(box.width).toBe(7);
    expect(box.height).toBe(1);
  });
});

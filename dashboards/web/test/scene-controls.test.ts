import * as THREE from "three";
import { describe, expect, it } from "vitest";
import { type Pose, poseOf } from "../src/scene/camera";
import type { Controls } from "../src/scene/controls";
import { DroneControls } from "../src/scene/drone";
import { NOTHING, type Wish } from "../src/scene/keys";
import { Orbit } from "../src/scene/orbit";

/** As much of an element as controls need where no page is. */
class Place extends EventTarget {
  style = { touchAction: "" };
  ownerDocument = new EventTarget();
  clientWidth = 640;
  clientHeight = 480;
  getRootNode = () => this.ownerDocument;
}

function placed(pose: Pose): THREE.PerspectiveCamera {
  const camera = new THREE.PerspectiveCamera();
  camera.position.set(pose.position.x, pose.position.y, pose.position.z);
  camera.quaternion.set(...pose.orientation);
  return camera;
}

const element = () => new Place() as unknown as HTMLElement;
const orbit = (camera: THREE.PerspectiveCamera, pose: Pose) =>
  new Orbit(camera, element(), pose, 2, () => {}, true);
const drone = (camera: THREE.PerspectiveCamera, pose: Pose) =>
  new DroneControls(camera, element(), pose, FOCUS, 2, () => {});
const FOCUS = { x: 0, y: 0, z: 0 };
const START = poseOf({
  position: { x: 1, y: 2, z: 3 },
  lookAt: { x: 0.2, y: 0.1, z: -0.4 },
  up: { x: 0, y: 1, z: 0 },
});
const ROLLED = poseOf({
  position: { x: 1, y: 2, z: 3 },
  lookAt: { x: 0, y: 0, z: 0 },
  up: { x: 0.4, y: 1, z: 0.1 },
});

function numbers({ position, orientation, distance }: Pose): number[] {
  const sign = Math.sign(orientation.find((part) => Math.abs(part) > 0.1)!);
  return [position.x, position.y, position.z, ...orientation.map((part) => sign * part), distance];
}

function expectSame(a: Pose, b: Pose): void {
  const [x, y] = [numbers(a), numbers(b)];
  x.forEach((value, i) => expect(Math.abs(value - y[i]!)).toBeLessThan(1e-9));
}

function go(controls: Controls, wish: Partial<Wish>, seconds: number): void {
  for (let t = 0; t < seconds; t += 1 / 60) controls.update(1 / 60, { ...NOTHING, ...wish });
  for (let i = 0; controls.update(1 / 60, NOTHING); i += 1) expect(i).toBeLessThan(300);
}

describe("switching between ways to move", () => {
  it.each([
    ["level", START],
    ["rolled", ROLLED],
  ])("keeps the picture, %s", (_name, start) => {
    const camera = placed(start);
    const first = orbit(camera, start);
    expectSame(first.pose(), start);
    go(first, { turn: [0.5, 0.2], move: [0.3, 0, 0.4] }, 0.5);
    const turned = first.pose();
    first.dispose();
    const second = drone(camera, turned);
    expectSame(second.pose(), turned);
    go(second, { turn: [1, -0.3], move: [1, 0.5, 1] }, 0.5);
    const flown = second.pose();
    second.dispose();
    expectSame(orbit(camera, flown).pose(), flown);
  });
});

describe("drone", () => {
  it("never rolls, however it is turned", () => {
    const controls = drone(placed(START), START);
    go(controls, { turn: [0.7, 1] }, 4);
    go(controls, { turn: [-0.4, -1] }, 9);
    const right = new THREE.Vector3(1, 0, 0).applyQuaternion(controls.camera.quaternion);
    const up = new THREE.Vector3(0, 1, 0).applyQuaternion(controls.camera.quaternion);
    expect(Math.abs(right.y)).toBeLessThan(1e-9);
    expect(up.y).toBeGreaterThan(0);
  });

  it("flies ahead, and comes to rest", () => {
    const controls = drone(placed(START), START);
    go(controls, { move: [0, 0, 1] }, 1);
    const way = controls.camera.position.clone().sub(new THREE.Vector3(1, 2, 3));
    const ahead = new THREE.Vector3(0, 0, -1).applyQuaternion(controls.camera.quaternion);
    expect(way.clone().normalize().dot(ahead)).toBeCloseTo(1, 9);
    expect(way.length()).toBeGreaterThan(0.5);
    expect(way.length()).toBeLessThan(3);
    expect(controls.pose().distance).toBeCloseTo(controls.camera.position.length(), 9); // the focus is the origin
  });
});

describe("orbit", () => {
  it("turns about its point at the same distance, never over the top", () => {
    const controls = orbit(placed(START), START);
    go(controls, { turn: [0.3, 1] }, 5);
    const pose = controls.pose();
    expect(pose.distance).toBeCloseTo(START.distance, 9);
    const up = new THREE.Vector3(0, 1, 0).applyQuaternion(controls.camera.quaternion);
    expect(up.y).toBeGreaterThan(0);
  });

  it("comes nearer with the keys, and stays off its point", () => {
    const controls = orbit(placed(START), START);
    go(controls, { move: [0, 0, 1] }, 60);
    expect(controls.pose().distance).toBeGreaterThan(0);
    expect(controls.pose().distance).toBeLessThan(0.1);
  });
});

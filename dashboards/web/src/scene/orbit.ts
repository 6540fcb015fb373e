import * as THREE from "three";
import { OrbitControls } from "three/addons/controls/OrbitControls.js";
import type { Pose } from "./camera";
import { type Controls, FAST, MOVE_PER_SECOND, TURN_PER_SECOND } from "./controls";
import type { Wish } from "./keys";

/** Turning about a point: three's controls for mouse and touch, keys and gamepad besides. */
export class Orbit implements Controls {
  private readonly controls: OrbitControls;

  /** As for `DroneControls`; what the camera turns about is straight ahead of the pose. */
  constructor(
    readonly camera: THREE.PerspectiveCamera,
    element: HTMLElement,
    pose: Pose,
    private readonly reach: number,
    moved: () => void,
    calm: boolean,
  ) {
    camera.up.set(pose.axis.x, pose.axis.y, pose.axis.z); // before they are made: they read it then
    this.controls = new OrbitControls(camera);
    const ahead = new THREE.Vector3(0, 0, -pose.distance).applyQuaternion(camera.quaternion);
    this.controls.target.copy(camera.position).add(ahead);
    this.controls.minDistance = 1e-3 * reach;
    this.controls.maxDistance = 100 * reach;
    this.controls.enableDamping = !calm;
    this.controls.dampingFactor = 0.12;
    this.controls.update();
    this.controls.connect(element);
    this.controls.addEventListener("change", moved);
    this.controls.addEventListener("start", moved);
  }

  pose(): Pose {
    const { position: p, quaternion: q, up } = this.camera;
    return {
      position: { x: p.x, y: p.y, z: p.z },
      orientation: [q.x, q.y, q.z, q.w],
      distance: p.distanceTo(this.controls.target),
      axis: { x: up.x, y: up.y, z: up.z },
    };
  }

  update(seconds: number, wish: Wish): boolean {
    const wished = [...wish.move, ...wish.turn].some((part) => part !== 0);
    if (wished) this.follow(seconds, wish);
    return this.controls.update(seconds) || wished;
  }

  dispose(): void {
    this.controls.dispose();
  }

  private follow(seconds: number, { move, turn, fast }: Wish): void {
    const target = this.controls.target;
    const offset = this.camera.position.clone().sub(target);
    const axis = this.camera.up;
    offset.applyAxisAngle(axis, -turn[0] * TURN_PER_SECOND * seconds);
    const right = new THREE.Vector3().crossVectors(axis, offset);
    if (right.lengthSq() > 0) {
      const now = offset.angleTo(axis);
      const angle = Math.max(0.02, Math.min(Math.PI - 0.02, now - turn[1] * TURN_PER_SECOND * seconds));
      offset.applyAxisAngle(right.normalize(), angle - now);
    }
    const pace = (fast ? FAST : 1) * seconds;
    offset.multiplyScalar(Math.exp(-move[2] * MOVE_PER_SECOND * pace));
    const step = MOVE_PER_SECOND * pace * Math.min(offset.length(), this.reach);
    target.addScaledVector(right, move[0] * step).addScaledVector(axis, move[1] * step);
    this.camera.position.copy(target).add(offset);
  }
}

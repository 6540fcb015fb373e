import * as THREE from "three";
import { OrbitControls } from "three/addons/controls/OrbitControls.js";
import type { Pose } from "./camera";
import { type Controls, FAST, MOVE_PER_SECOND, TURN_PER_SECOND } from "./controls";
import type { Wish } from "./keys";

const STILL = 2e-4; // radians, and parts of the scene's reach, a picture: a fifth of a pixel
const DAMPING = 0.12; // of a sixtieth of a second

/** Turning about a point: three's controls for mouse and touch, keys and gamepad besides. */
export class Orbit implements Controls {
  private readonly controls: OrbitControls;
  private updating = false;

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
    const ahead = new THREE.Vector3(0, 0, -pose.distance).applyQuaternion(camera.quaternion);
    this.controls = new OrbitControls(camera); // which looks at the origin at once
    this.controls.target.copy(camera.position).add(ahead);
    this.controls.minDistance = 1e-3 * reach;
    this.controls.maxDistance = 100 * reach;
    this.controls.enableDamping = !calm;
    this.controls.dampingFactor = DAMPING;
    this.controls.update();
    this.controls.connect(element);
    for (const event of ["change", "start"] as const)
      this.controls.addEventListener(event, () => this.updating || moved());
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
    const { position, quaternion } = this.camera;
    const [place, look] = [position.clone(), quaternion.clone()];
    if (wished) this.follow(seconds, wish);
    // Three's own answer can be "yes" for ever: at the nearest distance the radius is rounded to and fro.
    this.updating = true;
    // Three damps by the picture; a slow machine would drift on for a minute.
    this.controls.dampingFactor = 1 - (1 - DAMPING) ** (60 * seconds);
    this.controls.update(seconds);
    const moving = place.distanceTo(position) > STILL * this.reach || look.angleTo(quaternion) > STILL;
    if (!moving && !wished) this.rest(place, look);
    this.updating = false;
    return moving;
  }

  dispose(): void {
    this.controls.dispose();
  }

  /** Ends the drift for good: what is left of it would change the camera, and so the picture, for thousands of pictures more. */
  private rest(place: THREE.Vector3, look: THREE.Quaternion): void {
    const damped = this.controls.enableDamping;
    this.controls.enableDamping = false;
    this.controls.update(); // forgets what is left
    this.controls.enableDamping = damped;
    this.camera.position.copy(place);
    this.camera.quaternion.copy(look);
    this.camera.updateMatrixWorld();
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

import * as THREE from "three";
import type { Vec3 } from "../common/api";
import type { Pose } from "./camera";
import { type Controls, FAST, MOVE_PER_SECOND, TURN_PER_SECOND } from "./controls";
import type { Wish } from "./keys";

const STEEPEST_COSINE = 0.9998; // of the look against the axis: 1.1 degrees from straight up or down
const NEAREST = 0.1; // of the scene's reach
const TURN_PER_PIXEL = 0.0035; // radians
const STILL = 0.002; // of full speed
const SETTLE_SECONDS = 0.09; // in which speed falls to 1/e

/**
 * Flying. Drag or one finger: look; two fingers: slide, and pinch to go ahead; wheel: ahead. Turns about the axis and tilts about the
 * camera's own right, so the horizon stays as it was.
 */
export class DroneControls implements Controls {
  private readonly axis: THREE.Vector3;
  private readonly focus: THREE.Vector3;
  private distance: number;
  private readonly speed = new THREE.Vector3();
  private readonly turning = new THREE.Vector2();
  private readonly pointers = new Map<number, { x: number; y: number }>();
  private readonly ending = new AbortController();

  /**
   * @param pose the camera stands there already; says which way up is.
   * @param focus what the scene is about: once the camera has flown, an orbit turns about a point as far ahead as this is.
   * @param reach how large the scene is, in its unit.
   * @param moved asks for the next picture.
   */
  constructor(
    readonly camera: THREE.PerspectiveCamera,
    private readonly element: HTMLElement,
    pose: Pose,
    focus: Vec3,
    private readonly reach: number,
    private readonly moved: () => void,
  ) {
    this.axis = new THREE.Vector3(pose.axis.x, pose.axis.y, pose.axis.z);
    this.distance = pose.distance;
    this.focus = new THREE.Vector3(focus.x, focus.y, focus.z);
    const signal = this.ending.signal;
    element.addEventListener("pointerdown", (event) => this.down(event), { signal });
    element.addEventListener("pointermove", (event) => this.drag(event), { signal });
    for (const end of ["pointerup", "pointercancel", "lostpointercapture"] as const)
      element.addEventListener(end, (event) => this.pointers.delete(event.pointerId), { signal });
    element.addEventListener("wheel", (event) => this.wheel(event), { signal, passive: false });
    element.addEventListener("contextmenu", (event) => event.preventDefault(), { signal });
  }

  pose(): Pose {
    const { position: p, quaternion: q } = this.camera;
    return {
      position: { x: p.x, y: p.y, z: p.z },
      orientation: [q.x, q.y, q.z, q.w],
      distance: this.distance,
      axis: { x: this.axis.x, y: this.axis.y, z: this.axis.z },
    };
  }

  update(seconds: number, wish: Wish): boolean {
    const follow = 1 - Math.exp(-seconds / SETTLE_SECONDS);
    const fast = wish.fast ? FAST : 1;
    this.speed.lerp(new THREE.Vector3(...wish.move).multiplyScalar(fast), follow);
    this.turning.lerp(new THREE.Vector2(...wish.turn), follow);
    const wished = [...wish.move, ...wish.turn].some((part) => part !== 0);
    if (!wished && this.speed.length() < STILL && this.turning.length() < STILL) {
      this.speed.setScalar(0);
      this.turning.setScalar(0);
      return false;
    }
    const step = MOVE_PER_SECOND * this.reach * seconds;
    this.slide(this.speed.x * step, this.speed.y * step, this.speed.z * step);
    this.turn(-this.turning.x * TURN_PER_SECOND * seconds, this.turning.y * TURN_PER_SECOND * seconds);
    return true;
  }

  dispose(): void {
    this.ending.abort();
  }

  /** To the right, upwards along the axis, ahead. */
  private slide(right: number, up: number, ahead: number): void {
    this.camera.position
      .addScaledVector(new THREE.Vector3(1, 0, 0).applyQuaternion(this.camera.quaternion), right)
      .addScaledVector(this.axis, up)
      .addScaledVector(new THREE.Vector3(0, 0, -1).applyQuaternion(this.camera.quaternion), ahead);
    this.distance = Math.max(NEAREST * this.reach, this.camera.position.distanceTo(this.focus));
  }

  private turn(left: number, up: number): void {
    const turned = new THREE.Quaternion().setFromAxisAngle(this.axis, left).multiply(this.camera.quaternion);
    const tilted = turned
      .clone()
      .multiply(new THREE.Quaternion().setFromAxisAngle(new THREE.Vector3(1, 0, 0), up));
    const steep = (q: THREE.Quaternion) =>
      Math.abs(new THREE.Vector3(0, 0, -1).applyQuaternion(q).dot(this.axis));
    const upright = new THREE.Vector3(0, 1, 0).applyQuaternion(tilted).dot(this.axis) > 0;
    const allowed = (upright && steep(tilted) < STEEPEST_COSINE) || steep(tilted) < steep(turned);
    this.camera.quaternion.copy(allowed ? tilted : turned).normalize();
  }

  private down(event: PointerEvent): void {
    if (this.pointers.size === 2) return;
    this.element.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
  }

  private drag(event: PointerEvent): void {
    const before = this.pointers.get(event.pointerId);
    if (before === undefined) return;
    const now = { x: event.clientX, y: event.clientY };
    const [dx, dy] = [now.x - before.x, now.y - before.y];
    const other = [...this.pointers].find(([id]) => id !== event.pointerId)?.[1];
    const size = Math.max(1, Math.min(this.element.clientWidth, this.element.clientHeight));
    if (other !== undefined) {
      const wider =
        Math.hypot(now.x - other.x, now.y - other.y) - Math.hypot(before.x - other.x, before.y - other.y);
      const pace = this.reach / size;
      this.slide((-dx * pace) / 2, (dy * pace) / 2, wider * pace);
    } else if (event.buttons & 6 || event.shiftKey) {
      const pace = this.reach / size;
      this.slide(-dx * pace, dy * pace, 0);
    } else {
      this.turn(dx * TURN_PER_PIXEL, dy * TURN_PER_PIXEL);
    }
    this.pointers.set(event.pointerId, now);
    this.moved();
  }

  private wheel(event: WheelEvent): void {
    event.preventDefault();
    const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 33 : 1;
    this.slide(0, 0, -Math.max(-300, Math.min(300, event.deltaY * lines)) * 0.0005 * this.reach);
    this.moved();
  }
}

import type { SparkRenderer, SplatMesh } from "@sparkjsdev/spark";
import * as THREE from "three";
import type { CameraData, CameraType, Vec3 } from "../common/api";
import {
  dataOf,
  focusOf,
  type Intrinsics,
  letterbox,
  norm,
  type Pose,
  poseOf,
  projectionOf,
  sub,
  verticalFovDeg,
} from "./camera";
import type { Controls } from "./controls";
import { DroneControls } from "./drone";
import { Gamepads } from "./gamepad";
import { HeldKeys, isNothing, NOTHING, type Wish } from "./keys";
import { Orbit } from "./orbit";
import { placeOf, pointAt, type Rect } from "./sight";
import { blurAs, countOf, extentOf, type SplatKind, splatMesh, sparkRenderer } from "./splats";
import { isAntialiased } from "./spzHeader";

const MOST_PIXEL_RATIO = 2;
const MOST_PRECISE = 1_500_000; // splats: beyond this, the memory of smaller devices decides
const LONGEST_STEP_SECONDS = 0.1;
const LOOK_AGAIN_MS = 100;

export interface ViewerOptions {
  /** What the picture fills; gets the pointer's events. */
  stage: HTMLElement;
  canvas: HTMLCanvasElement;
  camera: CameraData | null;
  /** Of the scene, as far as it is known beforehand. */
  splats: number | null;
  /** Without keys the page around keeps them all. */
  keyboard: boolean;
  /** After every picture. */
  drawn: () => void;
  /** The browser took the graphics card away. */
  lost: () => void;
}

/** A scene in a canvas. Draws when something changed, and never otherwise. */
export class Viewer {
  private readonly renderer: THREE.WebGLRenderer;
  private readonly spark: SparkRenderer;
  private readonly precise: boolean;
  private readonly scene = new THREE.Scene();
  private readonly camera = new THREE.PerspectiveCamera();
  private readonly ending = new AbortController();
  private readonly keys: HeldKeys | null;
  private readonly pads: Gamepads | null;
  private mesh: SplatMesh | null = null;
  private controls: Controls | null = null;
  private exact: { lens: Intrinsics; before: Pose } | null = null;
  private home: Pose;
  private reach = 1;
  private type: CameraType;
  private frame = 0;
  private before = 0;
  private pictures = 0;
  private sortedFor = "";
  private waiting: (() => void)[] = [];
  private rect: Rect = { left: 0, top: 0, width: 1, height: 1 };

  constructor(private readonly options: ViewerOptions) {
    const { canvas, stage } = options;
    this.renderer = new THREE.WebGLRenderer({
      canvas,
      antialias: false,
      alpha: false,
      powerPreference: "high-performance",
    });
    this.precise = (options.splats ?? 0) <= MOST_PRECISE;
    this.spark = sparkRenderer(this.renderer, this.precise, () => this.request());
    this.scene.add(this.spark);
    this.type = options.camera?.cameraType ?? "drone";
    this.home = poseOf(options.camera ?? NO_CAMERA);
    this.place(this.home);
    const signal = this.ending.signal;
    const wake = () => this.request();
    this.keys = options.keyboard ? new HeldKeys(wake, signal) : null;
    this.pads = options.keyboard ? new Gamepads(wake, signal) : null;
    canvas.addEventListener("webglcontextlost", (event) => {
      event.preventDefault();
      options.lost();
    });
    const observer = new ResizeObserver(() => this.fit());
    observer.observe(stage);
    signal.addEventListener("abort", () => observer.disconnect());
    this.fit();
  }

  /** Decodes the file and shows it. Returns the number of splats. */
  async load(bytes: Uint8Array, kind: SplatKind): Promise<number> {
    blurAs(this.spark, kind === "spz" && isAntialiased(bytes));
    const mesh = await splatMesh(bytes, kind, this.precise);
    if (this.ending.signal.aborted) {
      mesh.dispose();
      return 0;
    }
    const { center, radius } = extentOf(mesh);
    if (this.options.camera === null)
      this.home = poseOf({
        position: { ...center, z: center.z + 2 * radius },
        lookAt: center,
        up: NO_CAMERA.up,
      });
    this.reach = Math.max(Math.min(norm(sub(this.home.position, center)), 3 * radius), 0.3 * radius, 1e-6);
    this.mesh = mesh;
    this.scene.add(mesh);
    this.place(this.home);
    this.control();
    this.fit();
    return countOf(mesh);
  }

  get cameraType(): CameraType {
    return this.type;
  }

  /** Another way to move; the picture stays. */
  setCameraType(type: CameraType): void {
    const pose = this.pose();
    this.type = type;
    if (this.exact === null) this.control(pose);
  }

  cameraData(): CameraData {
    return dataOf(this.pose(), this.type);
  }

  setCamera(data: CameraData): void {
    this.type = data.cameraType ?? this.type;
    if (this.exact !== null) this.showLens(null, null);
    const pose = poseOf(data);
    this.place(pose);
    this.control(pose);
    this.request();
  }

  /** Where "reset" goes back to. */
  setHome(data: CameraData): void {
    this.home = poseOf(data);
  }

  reset(): void {
    this.setCamera(dataOf(this.home, this.type));
  }

  /** Exactly this camera, the picture letterboxed to its aspect; null goes back to where the viewer was before. */
  showLens(lens: Intrinsics | null, pose: Pose | null): void {
    const before = this.exact?.before ?? this.pose();
    this.controls?.dispose();
    this.controls = null;
    this.exact = lens === null ? null : { lens, before };
    this.place(pose ?? before);
    if (this.exact === null) this.control(before);
    this.fit();
  }

  /** Of the picture within the stage, CSS pixels. */
  get picture(): Rect {
    return this.rect;
  }

  get focusDistance(): number {
    return this.pose().distance;
  }

  /** `background`: a colour as CSS writes it; `exposureEv`: brighter by so many stops, of the splats alone. */
  setLook(background: string, exposureEv: number): void {
    this.renderer.setClearColor(new THREE.Color(background), 1);
    // Stops are of light; the splats' colours are sRGB, about its root of 2.2.
    this.mesh?.recolor.setScalar(2 ** (exposureEv / 2.2));
    this.sortedFor = "";
    this.request();
  }

  /** What is at this point of the stage, in CSS pixels; null: nothing solid. */
  pick(x: number, y: number): Vec3 | null {
    return this.mesh && pointAt(this.mesh, this.camera, this.rect, x, y);
  }

  /** Where a point is on the stage, in CSS pixels; null: behind the camera. */
  project(point: Vec3): { x: number; y: number } | null {
    return placeOf(point, this.camera, this.rect);
  }

  /** Resolves when the sort is done and its picture drawn. */
  settled(): Promise<void> {
    return new Promise((resolve) => {
      this.waiting.push(resolve);
      this.request();
    });
  }

  /** The picture, PNG, with its background. */
  capture(): Promise<Blob> {
    this.draw(); // the buffer holds its picture only until the task ends
    return new Promise((resolve, reject) =>
      this.options.canvas.toBlob(
        (blob) => (blob ? resolve(blob) : reject(new Error("No picture."))),
        "image/png",
      ),
    );
  }

  renderedFrames(): number {
    return this.pictures;
  }

  dispose(): void {
    this.ending.abort();
    cancelAnimationFrame(this.frame);
    this.controls?.dispose();
    this.mesh?.dispose();
    this.spark.dispose();
    this.renderer.dispose();
  }

  private pose(): Pose {
    if (this.controls !== null) return this.controls.pose();
    const { position: p, quaternion: q } = this.camera;
    const { distance, axis } = this.exact?.before ?? this.home;
    return { position: { x: p.x, y: p.y, z: p.z }, orientation: [q.x, q.y, q.z, q.w], distance, axis };
  }

  private place(pose: Pose): void {
    this.camera.position.set(pose.position.x, pose.position.y, pose.position.z);
    this.camera.quaternion.set(...pose.orientation);
    this.camera.updateMatrixWorld();
  }

  private control(pose: Pose = this.home): void {
    this.controls?.dispose();
    const { stage } = this.options;
    const moved = () => this.request();
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.controls =
      this.type === "orbital"
        ? new Orbit(this.camera, stage, pose, this.reach, moved, calm)
        : new DroneControls(this.camera, stage, pose, focusOf(this.home), this.reach, moved);
  }

  private fit(): void {
    const { stage, canvas } = this.options;
    const whole = { width: Math.max(1, stage.clientWidth), height: Math.max(1, stage.clientHeight) };
    this.rect = this.exact === null ? { left: 0, top: 0, ...whole } : letterbox(whole, this.exact.lens);
    const { left, top, width, height } = this.rect;
    this.renderer.setPixelRatio(Math.min(MOST_PIXEL_RATIO, devicePixelRatio));
    this.renderer.setSize(width, height);
    canvas.style.left = `${left}px`;
    canvas.style.top = `${top}px`;
    this.camera.near = 5e-3 * this.reach;
    this.camera.far = 2e3 * this.reach;
    this.camera.aspect = width / height;
    this.camera.fov = verticalFovDeg(this.camera.aspect);
    this.camera.updateProjectionMatrix();
    if (this.exact !== null) {
      this.camera.projectionMatrix.fromArray(
        projectionOf(this.exact.lens, this.camera.near, this.camera.far),
      );
      this.camera.projectionMatrixInverse.copy(this.camera.projectionMatrix).invert();
    }
    this.sortedFor = "";
    if (this.mesh !== null) this.draw(); // at once: a canvas that was resized is empty
    this.request();
  }

  private request(): void {
    if (this.frame === 0 && !this.ending.signal.aborted)
      this.frame = requestAnimationFrame((now) => this.step(now));
  }

  private step(now: number): void {
    this.frame = 0;
    const seconds = Math.min(LONGEST_STEP_SECONDS, this.before ? (now - this.before) / 1000 : 1 / 60);
    const moving = this.controls?.update(seconds, this.wish()) ?? false;
    this.before = moving ? now : 0;
    this.draw();
    if (moving) return this.request();
    // Spark sorts when the view changed much; at rest it is to be exact.
    const key = this.camera.matrixWorld.elements.join();
    if (key !== this.sortedFor) {
      this.sortedFor = key;
      void this.spark.update({ scene: this.scene, camera: this.camera });
      return this.request();
    }
    const { sorting, sortDirty, display, current } = this.spark;
    if (this.frame !== 0) return;
    if (sorting || sortDirty || display !== current) {
      // Spark says when it is done, unless it had said so before this picture: who waits must not depend on that.
      if (this.waiting.length > 0) setTimeout(() => this.request(), LOOK_AGAIN_MS);
      return;
    }
    for (const resolve of this.waiting.splice(0)) resolve();
  }

  private draw(): void {
    this.renderer.render(this.scene, this.camera);
    this.pictures += 1;
    this.options.drawn();
  }

  private wish(): Wish {
    const keys = this.keys?.wish() ?? NOTHING;
    return isNothing(keys) ? (this.pads?.wish() ?? NOTHING) : keys;
  }
}

const NO_CAMERA: CameraData = {
  position: { x: 0, y: 0, z: 2 },
  lookAt: { x: 0, y: 0, z: 0 },
  up: { x: 0, y: 1, z: 0 },
};

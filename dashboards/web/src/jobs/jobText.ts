/** A job in words. Pure. */

import type { JobDetail } from "../common/api";
import { count, duration } from "../common/format";

export type Kind = "queued" | "working" | "finished" | "failed" | "lost";

/** What a status text of the API means. */
export function kindOf(job: Pick<JobDetail, "status">): Kind {
  const status = job.status.toLowerCase();
  if (status.startsWith("queued")) return "queued";
  if (status === "finished") return "finished";
  if (status === "failed") return "failed";
  return status === "not found" ? "lost" : "working";
}

export const isActive = (job: Pick<JobDetail, "status">) => ["queued", "working"].includes(kindOf(job));

const STEPS: Record<string, string> = {
  extract: "choosing frames",
  mask: "finding the subject",
  sfm: "finding the cameras",
  scale: "measuring the tags",
  train: "training",
  mesh: "making the mesh",
  turntable: "filming the turntable",
  export: "writing the files",
};

export function statusText(job: JobDetail): string {
  switch (kindOf(job)) {
    case "queued":
      return job.queue_position === null ? "Queued" : `Queued, position ${count(job.queue_position)}`;
    case "failed":
      return job.error_code === "cancelled" ? "Cancelled" : "Failed";
    case "lost":
      return "Lost: its run is gone. Retry makes a new one.";
    default:
      return job.status;
  }
}

export interface Progress {
  percent: number;
  text: string;
}

/** How far a job at work is: of the whole training once that has begun, of the current step before. */
export function progressOf(job: JobDetail): Progress | null {
  if (kindOf(job) !== "working") return null;
  const step = job.current_step === null ? null : (STEPS[job.current_step] ?? job.current_step);
  // The percentage of the whole is that of the training's step.
  const withinStep = job.current_step === "train" ? null : job.step_percent;
  const percent = job.percent_complete ?? job.step_percent ?? 0;
  const parts = [
    ...(job.percent_complete !== null ? [`${job.percent_complete} %`] : []),
    ...(step === null ? [] : [withinStep === null ? step : `${step}, ${withinStep} % of this step`]),
    ...(timeLeft(job) ?? []),
  ];
  return { percent, text: parts.join(" · ") };
}

export function timeLeft(job: JobDetail): string[] | null {
  const seconds = job.estimated_time_remaining;
  return seconds === null ? null : [`about ${duration(roughly(seconds))} left`];
}

/** Estimates have no exact seconds. */
function roughly(seconds: number): number {
  if (seconds < 60) return Math.max(5, Math.ceil(seconds / 5) * 5);
  return Math.ceil(seconds / 60) * 60;
}

export function optionsText(job: JobDetail): string {
  const parts = [
    `${count(job.training_num_steps)} steps`,
    `${count(job.training_max_num_gaussians)} Gaussians`,
    ...(job.max_frames === null ? [] : [`${count(job.max_frames)} frames`]),
    ...(job.train_side_px === null ? [] : [`${count(job.train_side_px)} px`]),
    job.reconstruction_method,
    ...(job.remove_background ? ["subject alone"] : []),
    ...(job.mesh ? ["mesh"] : []),
    ...(job.turntable ? ["turntable"] : []),
    ...(job.apriltag_size_mm === null ? [] : [`tags of ${job.apriltag_size_mm} mm`]),
    ...(job.camera_type === null ? [] : [`${job.camera_type} view`]),
    ...(job.priority === "batch" ? ["when nothing else waits"] : []),
  ];
  return parts.join(" · ");
}

/** That a better result is being made; null when none is. */
export function reprocessingText(job: JobDetail): string | null {
  const now = job.reprocessing;
  if (!now) return null;
  if (now.state === "queued") return "To be made again, waiting";
  return now.percent === null ? "Being made again" : `Being made again: ${now.percent} %`;
}

export function qualityText(job: JobDetail): string | null {
  const quality = job.quality ?? {};
  const number = (name: string) => (typeof quality[name] === "number" ? quality[name] : null);
  const [psnr, given, registered, made] = [
    number("psnr_db"),
    number("frames_given"),
    number("frames_registered"),
    number("num_gaussians"),
  ];
  const parts = [
    ...(psnr === null ? [] : [`PSNR ${psnr.toFixed(1)} dB`]),
    ...(registered === null
      ? []
      : [`${count(registered)}${given === null ? "" : ` of ${count(given)}`} frames registered`]),
    ...(made === null ? [] : [`${count(made)} splats`]),
  ];
  return parts.length === 0 ? null : parts.join(" · ");
}

const FILES: Record<string, string> = {
  spz: "Scene, small (SPZ)",
  ply: "Scene (PLY)",
  glb: "Mesh (GLB)",
  mp4: "Turntable (MP4)",
  poster: "Poster (JPEG)",
  report_html: "Report (HTML)",
  report: "Report (JSON)",
  colmap: "Pictures and cameras (COLMAP, ZIP)",
  views: "Held-out views (ZIP)",
  camera: "Camera (JSON)",
};

export interface FileChoice {
  kind: string;
  label: string;
  bytes: number;
}

/** What can be downloaded, the most wanted first; kinds that this page doesn't know at the end. */
export function fileChoices(job: Pick<JobDetail, "files">): FileChoice[] {
  const known = Object.keys(FILES);
  const place = (kind: string) => (known.includes(kind) ? known.indexOf(kind) : known.length);
  return Object.entries(job.files)
    .sort(([a], [b]) => place(a) - place(b) || a.localeCompare(b))
    .map(([kind, file]) => ({ kind, label: FILES[kind] ?? kind, bytes: file.bytes }));
}

/** When a signed link ends; null for a link that doesn't. */
export function linkEnd(url: string): Date | null {
  const expires = Number(new URL(url, "http://localhost").searchParams.get("expires"));
  return expires > 0 ? new Date(expires * 1000) : null;
}

export function dateText(instant: string | Date): string {
  return new Date(instant).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}

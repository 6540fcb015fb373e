import type { CameraData } from "./api";

/** A file that the page may fetch: a signed URL that ends after `SceneData.files_expire_seconds`. */
export interface SceneFile {
  url: string;
  bytes: number;
}

export type SceneState = "viewable" | "waiting" | "failed";
export type FileKind = "spz" | "ply" | "mp4" | "poster" | "views";

/** What the service tells the page of a scene; see `api/scene.py`. Lengths are metres when `metric`, else the scene's own unit. */
export interface SceneData {
  job_id: string;
  title: string;
  public: boolean;
  state: SceneState;
  status: string;
  percent_complete: number | null;
  current_step: string | null;
  step_percent: number | null;
  queue_position: number | null;
  /** Seconds. */
  estimated_time_remaining: number | null;
  error_code: string | null;
  error_message: string | null;
  uploaded_at: string;
  finished_at: string | null;
  /** When its files were removed since they had been kept for long enough; null while they are there. */
  expired_at: string | null;
  /** In the Y-up frame of the SPZ. */
  camera_data: CameraData | null;
  metric: boolean;
  scale_uncertainty: number | null;
  quality: {
    psnr_db: number | null;
    ssim: number | null;
    subject_psnr_db: number | null;
    frames_given: number | null;
    frames_registered: number | null;
    num_gaussians: number | null;
  };
  files: Partial<Record<FileKind, SceneFile>>;
  preview_url: string | null;
  files_expire_seconds: number;
  /** Paths with the query of the signed link that was used. */
  data_url: string;
  events_url: string;
  /** The whole URL of this page; for a private scene its signed link. */
  page_url: string;
  /** Unix time at which the signed link ends; null: the scene is public. */
  link_expires: number | null;
}

export interface ScenePageData {
  embed: boolean;
  state: SceneState | "unavailable" | "expired";
  scene: SceneData | null;
}

export interface JobsPageData {
  max_upload_bytes: number;
}

/** What the service wrote into the page. */
export function pageData<T>(): T {
  return JSON.parse(document.getElementById("page-data")?.textContent ?? "null") as T;
}

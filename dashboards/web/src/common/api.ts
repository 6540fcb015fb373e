/** The documented REST API, as the pages use it. */

const BASE = "/api/v1";

export interface Vec3 {
  x: number;
  y: number;
  z: number;
}

export type CameraType = "orbital" | "drone";

export interface CameraData {
  position: Vec3;
  lookAt: Vec3;
  up: Vec3;
  cameraType?: CameraType;
}

export interface JobDetail {
  job_id: string;
  title: string;
  status: string;
  percent_complete: number | null;
  uploaded_at: string;
  public: boolean;
  reconstruction_method: string;
  training_max_num_gaussians: number;
  training_num_steps: number;
  remove_background: boolean;
  has_ply: boolean;
  has_spz: boolean;
  camera_data: CameraData | null;
  current_step: string | null;
  step_percent: number | null;
  queue_position: number | null;
  estimated_time_remaining: number | null;
  error_code: string | null;
  error_message: string | null;
  warnings: { code: string; message: string; step?: string; field?: string }[];
  apriltag_size_mm: number | null;
  mesh: boolean;
  camera_type: CameraType | null;
  max_frames: number | null;
  train_side_px: number | null;
  turntable?: unknown;
  files: Record<string, { bytes: number; sha256: string | null }>;
  quality: Record<string, unknown> | null;
  scale: Record<string, unknown> | null;
  started_at: string | null;
  finished_at: string | null;
  viewer_url: string | null;
  run_url?: string | null;
  /** Which jobs go first: this one's class. Other deployments of the API have none. */
  priority?: "interactive" | "batch";
  /** When its files were removed since they had been kept for long enough. */
  expired_at?: string | null;
  /** A better result is being tried for; the one that is there stays meanwhile. */
  reprocessing?: { state: string; percent: number | null } | null;
}

/** An answer that isn't the wished one. `status` 0: no answer came at all. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly field: string | null = null,
    readonly retryAfterSeconds: number | null = null,
  ) {
    super(message);
  }
}

export interface Wish {
  method?: string;
  body?: unknown;
  signal?: AbortSignal;
  headers?: Record<string, string>;
}

/** Calls the API; throws `ApiError`. */
export async function call<T>(key: string, path: string, wish: Wish = {}): Promise<T> {
  const response = await answer(key, path, wish);
  return response.status === 204 ? (undefined as T) : contentOf<T>(response);
}

/** The JSON of an answer; throws `ApiError` when it breaks off. */
export async function contentOf<T>(response: Response): Promise<T> {
  try {
    return (await response.json()) as T;
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError(0, "unreachable", "The answer of the service broke off.");
  }
}

/** The same, for answers that are no JSON. Redirects to files are followed. */
export async function answer(key: string, path: string, wish: Wish = {}): Promise<Response> {
  const headers: Record<string, string> = { Authorization: `Api-Key ${key}`, ...wish.headers };
  if (wish.body !== undefined) headers["Content-Type"] = "application/json";
  let response: Response;
  try {
    response = await fetch(`${BASE}/${path}`, {
      method: wish.method ?? "GET",
      headers,
      body: wish.body === undefined ? null : JSON.stringify(wish.body),
      signal: wish.signal ?? null,
      credentials: "omit",
      cache: "no-store",
    });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError(0, "unreachable", "The service can't be reached just now.");
  }
  if (!response.ok) throw await refusal(response);
  return response;
}

async function refusal(response: Response): Promise<ApiError> {
  const wait = Number(response.headers.get("Retry-After"));
  let body: { error?: string; code?: string; field?: string } = {};
  try {
    body = await response.json();
  } catch {
    // not ours: a proxy's page, say
  }
  const sentence = body.error ?? `The service answered ${response.status}.`;
  const seconds = Number.isFinite(wait) && wait > 0 ? wait : null;
  return new ApiError(response.status, body.code ?? "unknown", sentence, body.field ?? null, seconds);
}

/** What the page knows. Only signals; what changes them is in the modules beside. */

import { computed, signal } from "@preact/signals";
import type { ApiError, JobDetail } from "../common/api";
import { emptyForm, type FieldName, type Form } from "./options";

export interface Account {
  name: string;
  plan: string;
  limits: { max_upload_bytes: number; upload_url_seconds: number };
  usage: { jobs: number; bytes: number; processing_seconds_this_month: number };
}

export interface Chosen {
  id: number;
  file: File;
  title: string;
}

export type Filter = "all" | "queued" | "processing" | "finished" | "failed";
export const FILTERS: readonly Filter[] = ["all", "queued", "processing", "finished", "failed"];
export const PAGE_SIZE = 50;

export type Shown =
  { kind: "delete"; job: JobDetail } | { kind: "share"; job: JobDetail } | { kind: "signOut" };

// Who looks.
export const key = signal<string | null>(null);
export const signInSentence = signal<string | null>(null);
export const account = signal<Account | null>(null);
export const readOnly = signal(false);

// The new job.
export const form = signal<Form>(emptyForm());
export const chosen = signal<Chosen[]>([]);
export const fileComplaints = signal<string[]>([]);
/** Sentences under fields; `file` is the choice of files, `title-<id>` the title of one. */
export const fieldErrors = signal<Partial<Record<FieldName | "file" | `title-${number}`, string>>>({});
/** The upload whose options are being changed. */
export const fixing = signal<number | null>(null);
export const dragging = signal(false);

// The list.
export const filter = signal<Filter>("all");
export const page = signal(1);
/** Newest first; null: not known yet. */
export const jobs = signal<JobDetail[] | null>(null);
export const total = signal(0);
export const pages = computed(() => Math.max(1, Math.ceil(total.value / PAGE_SIZE)));
/** Why the list isn't fresh. */
export const trouble = signal<{ error: ApiError; failures: number; lastGood: Date | null } | null>(null);
/** What went wrong with one job's action. */
export const notes = signal<Record<string, string>>({});
export const busy = signal<ReadonlySet<string>>(new Set());
export const editing = signal<{ jobId: string; text: string; error: string | null } | null>(null);

export const dialog = signal<Shown | null>(null);
/** Read aloud by screen readers. */
export const announcement = signal("");

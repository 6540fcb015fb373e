/** The queue of uploads, one at a time: from a file to a submitted job, through breaks of the connection. */

import { signal, type Signal } from "@preact/signals";
import { ApiError, type JobDetail, type Wish } from "../common/api";
import { extensionOf } from "./files";
import type { Options } from "./options";
import type { Put } from "./put";
import { Speed } from "./speed";
import {
  MOST_TRIES,
  pauseSeconds,
  usable,
  verdictOn,
  type Stage,
  type Ticket,
  type Verdict,
} from "./uploadPolicy";

/**
 * waiting -> preparing -> sending -> submitting -> done
 * From each of the middle three also: paused (goes on by itself), stopped (goes on when told to), refused (the options need a change).
 */
export type Phase =
  "waiting" | "preparing" | "sending" | "submitting" | "paused" | "stopped" | "refused" | "done";

export interface Upload {
  id: number;
  file: File;
  options: Options;
  phase: Phase;
  /** Bytes. */
  sent: number;
  bytesPerSecond: number | null;
  /** Why it is paused, stopped or refused. */
  note: string | null;
  /** Which field was refused. */
  field: string | null;
  jobId: string | null;
}

/** What an uploader works with; tests give their own. */
export interface Means {
  call<T>(path: string, wish?: Wish): Promise<T>;
  put: Put;
  online(): boolean;
  nowMs(): number;
  random(): number;
  uuid(): string;
  /** For how long an upload's URL is valid. */
  urlSeconds(): number;
  onDone(upload: Upload, job: JobDetail): void;
}

interface Private {
  ticket: Ticket | null;
  uploaded: boolean;
  idempotencyKey: string;
  tries: number;
  urls: number;
  mostSent: number;
  stop: AbortController;
  verdict: Verdict | null;
  wake: (() => void) | null;
}

const MOST_URLS = 4;
export const UNDER_WAY: readonly Phase[] = ["waiting", "preparing", "sending", "submitting", "paused"];
export const KEY_REFUSED =
  "The key was refused. The upload goes on when you have signed in with another one.";
export const UNREADABLE = "This file can't be read any more: it was moved or changed. Choose it again.";

export class Uploader {
  readonly list: Signal<Upload[]> = signal([]);
  #means: Means;
  #private = new Map<number, Private>();
  #lastId = 0;
  #busy = false;

  constructor(means: Means) {
    this.#means = means;
  }

  add(file: File, options: Options): void {
    const id = ++this.#lastId;
    this.#private.set(id, this.#fresh());
    const upload: Upload = {
      id, file, options, phase: "waiting", sent: 0, bytesPerSecond: null, note: null, field: null, jobId: null,
    }; // prettier-ignore
    this.list.value = [...this.list.value, upload];
    void this.#work();
  }

  /** Ends an upload, or takes a finished one off the list. */
  remove(id: number): void {
    const hidden = this.#private.get(id);
    this.#private.delete(id);
    this.list.value = this.list.value.filter((upload) => upload.id !== id);
    hidden?.stop.abort();
  }

  clear(): void {
    for (const { id } of [...this.list.value]) this.remove(id);
  }

  /** Goes on with an upload that has stopped; at once with one that pauses. `options`: other ones from now on. */
  again(id: number, options?: Options): void {
    const [upload, hidden] = [this.#get(id), this.#private.get(id)];
    if (!upload || !hidden || upload.phase === "done") return;
    if (options !== undefined) hidden.idempotencyKey = this.#means.uuid();
    hidden.tries = hidden.urls = 0;
    if (hidden.wake) return hidden.wake();
    this.#set(id, { phase: "waiting", note: null, field: null, ...(options && { options }) });
    void this.#work();
  }

  /** The connection may be back: what waits for it tries at once. */
  wake(): void {
    for (const upload of this.list.value) {
      const stopped = upload.phase === "stopped" && this.#private.get(upload.id)?.verdict === "again";
      if (upload.phase === "paused" || stopped) this.again(upload.id);
    }
  }

  /** There is another key: goes on with what the old one's end has stopped. */
  keyChanged(): void {
    for (const upload of this.list.value) {
      if (upload.phase === "stopped" && this.#private.get(upload.id)?.verdict === "key")
        this.again(upload.id);
    }
  }

  get underWay(): boolean {
    return this.list.value.some((upload) => UNDER_WAY.includes(upload.phase));
  }

  async #work(): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    try {
      for (;;) {
        const next = this.list.value.find((upload) => upload.phase === "waiting");
        if (next === undefined) return;
        await this.#carryOut(next.id);
      }
    } finally {
      this.#busy = false;
    }
  }

  async #carryOut(id: number): Promise<void> {
    for (;;) {
      const hidden = this.#private.get(id);
      if (hidden === undefined) return;
      let stage: Stage = "url";
      try {
        if (!hidden.uploaded) {
          if (!usable(hidden.ticket, this.#means.nowMs())) await this.#askForUrl(id, hidden);
          stage = "put";
          await this.#send(id, hidden, hidden.ticket!);
        }
        stage = "submit";
        await this.#submit(id, hidden, hidden.ticket!);
        return;
      } catch (error) {
        if (!this.#private.has(id)) return; // removed
        const known =
          error instanceof ApiError ? error : new ApiError(0, "unknown", "It went wrong in this browser.");
        if (!(await this.#goOn(id, hidden, known, stage))) return;
      }
    }
  }

  async #askForUrl(id: number, hidden: Private): Promise<void> {
    this.#set(id, { phase: "preparing", note: null });
    const expiresAtMs = this.#means.nowMs() + 1000 * this.#means.urlSeconds();
    const answer = await this.#means.call<{ url: string; blob_name: string }>("generate-upload-url/", {
      method: "POST",
      body: { file_extension: extensionOf(this.#get(id)!.file.name) },
      signal: hidden.stop.signal,
    });
    hidden.ticket = { url: answer.url, blobName: answer.blob_name, expiresAtMs };
    // Another blob is another body, which the old key must not come with; and the old blob has made no job.
    hidden.idempotencyKey = this.#means.uuid();
  }

  async #send(id: number, hidden: Private, ticket: Ticket): Promise<void> {
    const { file } = this.#get(id)!;
    const speed = new Speed();
    this.#set(id, { phase: "sending", sent: 0, bytesPerSecond: null, note: null });
    const progress = (sent: number) => {
      speed.note(sent, this.#means.nowMs());
      if (sent > hidden.mostSent) [hidden.mostSent, hidden.tries] = [sent, 0];
      this.#set(id, { sent: Math.min(sent, file.size), bytesPerSecond: speed.get() });
    };
    await this.#means.put(ticket.url, file, { progress, signal: hidden.stop.signal });
    hidden.uploaded = true;
  }

  async #submit(id: number, hidden: Private, ticket: Ticket): Promise<void> {
    const upload = this.#get(id)!;
    this.#set(id, { phase: "submitting", sent: upload.file.size, note: null });
    const job = await this.#means.call<JobDetail>("submit-job/", {
      method: "POST",
      body: { blob_name: ticket.blobName, ...upload.options },
      headers: { "Idempotency-Key": hidden.idempotencyKey },
      signal: hidden.stop.signal,
    });
    this.#set(id, { phase: "done", note: null, jobId: job.job_id });
    this.#means.onDone(this.#get(id)!, job);
  }

  /** Whether to go on, after a pause if need be. */
  async #goOn(id: number, hidden: Private, error: ApiError, stage: Stage): Promise<boolean> {
    hidden.verdict = verdictOn(error, stage);
    switch (hidden.verdict) {
      case "sent":
        hidden.uploaded = true;
        return true;
      case "newUrl":
        hidden.ticket = null;
        hidden.uploaded = false;
        hidden.urls += 1;
        if (hidden.urls < MOST_URLS) return true;
        break;
      case "again":
        return this.#pause(id, hidden, error);
      case "fix":
        this.#set(id, { phase: "refused", note: error.message, field: error.field });
        return false;
    }
    const note = hidden.verdict === "key" ? KEY_REFUSED : error.message;
    this.#set(id, { phase: "stopped", note });
    return false;
  }

  async #pause(id: number, hidden: Private, error: ApiError): Promise<boolean> {
    const { file } = this.#get(id)!;
    if (error.status === 0 && !(await readable(file))) {
      hidden.verdict = "stop";
      this.#set(id, { phase: "stopped", note: UNREADABLE });
      return false;
    }
    const online = this.#means.online();
    if (online) hidden.tries += 1;
    if (hidden.tries >= MOST_TRIES) {
      this.#set(id, { phase: "stopped", note: `${error.message} It was tried ${MOST_TRIES} times.` });
      return false;
    }
    const seconds = pauseSeconds(hidden.tries, error.retryAfterSeconds, this.#means.random);
    const note = online
      ? `${error.message} Trying again in ${Math.max(1, Math.round(seconds))} s.`
      : "This device is offline. The upload goes on when it is back.";
    this.#set(id, { phase: "paused", note, bytesPerSecond: null });
    await new Promise<void>((resolve) => {
      const timer = online ? setTimeout(resolve, 1000 * seconds) : undefined;
      hidden.wake = () => {
        clearTimeout(timer);
        resolve();
      };
      hidden.stop.signal.addEventListener("abort", hidden.wake, { once: true });
    });
    hidden.wake = null;
    return this.#private.has(id);
  }

  #get(id: number): Upload | undefined {
    return this.list.value.find((upload) => upload.id === id);
  }

  #set(id: number, values: Partial<Upload>): void {
    this.list.value = this.list.value.map((upload) => (upload.id === id ? { ...upload, ...values } : upload));
  }

  #fresh(): Private {
    return {
      ticket: null, uploaded: false, idempotencyKey: this.#means.uuid(), tries: 0, urls: 0, mostSent: 0,
      stop: new AbortController(), verdict: null, wake: null,
    }; // prettier-ignore
  }
}

/** Whether the browser can still read the file: it can't once the file was moved or changed. */
async function readable(file: Blob): Promise<boolean> {
  try {
    await file.slice(0, 1).arrayBuffer();
    return true;
  } catch {
    return false;
  }
}

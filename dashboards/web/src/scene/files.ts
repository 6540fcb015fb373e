/** Fetching a scene's files: signed URLs that end, sizes that are known beforehand. */

import type { FileKind, SceneData, SceneFile } from "../common/pageData";

/** A file that can't be had, with a sentence for the page. */
export class FileError extends Error {}

export type Progress = (done: number, total: number) => void;

const RENEW_BEFORE_SECONDS = 30;

/** The files of a scene. `scene` is replaced whenever the service tells something new. */
export class SceneFiles {
  private told = performance.now();

  constructor(private scene: SceneData) {}

  /** Newer data, with URLs that last longer. */
  renew(scene: SceneData): void {
    this.scene = scene;
    this.told = performance.now();
  }

  /** What is known of a file; its URL may have ended. */
  current(kind: FileKind): SceneFile | undefined {
    return this.scene.files[kind];
  }

  /** A URL that still lasts for a while; null: there is no such file. */
  async url(kind: FileKind): Promise<string | null> {
    const seconds = (performance.now() - this.told) / 1000;
    if (seconds > this.scene.files_expire_seconds - RENEW_BEFORE_SECONDS) await this.ask();
    return this.scene.files[kind]?.url ?? null;
  }

  /** The content of a file. Throws `FileError`, or `AbortError` once the signal says so. */
  async bytes(kind: FileKind, progress: Progress, signal: AbortSignal): Promise<Uint8Array> {
    for (let attempt = 0; ; attempt += 1) {
      const url = await this.url(kind);
      if (url === null) throw new FileError("The scene has no such file.");
      const response = await fetched(url, signal);
      if (response.ok) return await whole(response, this.scene.files[kind]?.bytes ?? 0, progress);
      // The signature ended, or the file was written anew since: ask once where it is now.
      if (![400, 403, 404].includes(response.status) || attempt > 0)
        throw new FileError(`The store answered ${response.status} for the scene's file.`);
      await this.ask();
    }
  }

  private async ask(): Promise<void> {
    const response = await fetched(this.scene.data_url, undefined);
    if (!response.ok) throw new FileError("The scene can't be looked at any more.");
    this.renew((await response.json()) as SceneData);
  }
}

async function fetched(url: string, signal: AbortSignal | undefined): Promise<Response> {
  try {
    return await fetch(url, { signal: signal ?? null, credentials: "omit" });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new FileError("The connection failed.");
  }
}

async function whole(response: Response, expected: number, progress: Progress): Promise<Uint8Array> {
  const packed = response.headers.get("Content-Encoding") !== null; // then the length says nothing
  const length = packed ? 0 : Number(response.headers.get("Content-Length"));
  const total = length || expected;
  const reader = response.body!.getReader();
  let content = new Uint8Array(total);
  let done = 0;
  progress(0, total);
  try {
    for (;;) {
      const { value, done: ended } = await reader.read();
      if (ended) break;
      if (done + value.length > content.length) {
        const larger = new Uint8Array(Math.max(2 * content.length, done + value.length));
        larger.set(content.subarray(0, done));
        content = larger;
      }
      content.set(value, done);
      done += value.length;
      progress(done, Math.max(total, done));
    }
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new FileError("The connection broke.");
  }
  if (length && done < length) throw new FileError("The connection broke.");
  return content.subarray(0, done);
}

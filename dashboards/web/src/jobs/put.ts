/** Sending a file. XMLHttpRequest, since fetch doesn't tell how much has gone. */

import { ApiError } from "../common/api";

/** Without a byte going for so long, the connection is taken for dead. */
export const STALL_MS = 60_000;
/** With all bytes gone, the store may take longer: it may still have to pass them on. */
export const ANSWER_MS = 300_000;

export type Put = (
  url: string,
  file: Blob,
  wish: { progress: (sent: number) => void; signal: AbortSignal },
) => Promise<void>;

/** PUTs a file to a signed URL. Throws `ApiError`, or an `AbortError` when told to stop. */
export function put(
  url: string,
  file: Blob,
  wish: { progress: (sent: number) => void; signal: AbortSignal },
  newRequest: () => XMLHttpRequest = () => new XMLHttpRequest(),
): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = newRequest();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const end = (error?: Error) => {
      clearTimeout(timer);
      wish.signal.removeEventListener("abort", stop);
      if (error === undefined) resolve();
      else reject(error);
    };
    const stop = () => {
      request.abort();
      end(new DOMException("The upload was stopped.", "AbortError"));
    };
    const watch = (milliseconds: number) => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        request.abort();
        end(broken("The connection has come to a halt."));
      }, milliseconds);
    };
    if (wish.signal.aborted) return stop();
    wish.signal.addEventListener("abort", stop);
    request.upload.onprogress = (event) => {
      wish.progress(event.loaded);
      watch(event.loaded < file.size ? STALL_MS : ANSWER_MS);
    };
    request.upload.onload = () => watch(ANSWER_MS);
    request.onload = () => end(request.status >= 200 && request.status < 300 ? undefined : refusal(request));
    request.onerror = () => end(broken("The connection broke."));
    request.ontimeout = () => end(broken("The connection broke."));
    request.open("PUT", url);
    watch(STALL_MS);
    request.send(file);
  });
}

function broken(sentence: string): ApiError {
  return new ApiError(0, "unreachable", sentence);
}

function refusal(request: XMLHttpRequest): ApiError {
  let body: { error?: string; code?: string } = {};
  try {
    body = JSON.parse(request.responseText);
  } catch {
    // an object store answers XML, a proxy a page
  }
  const wait = Number(request.getResponseHeader("Retry-After"));
  const sentence = body.error ?? `The store answered ${request.status}.`;
  const seconds = Number.isFinite(wait) && wait > 0 ? wait : null;
  return new ApiError(request.status, body.code ?? "unknown", sentence, null, seconds);
}

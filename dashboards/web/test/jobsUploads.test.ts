import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ApiError, type Wish } from "../src/common/api";
import { put, STALL_MS, type Put } from "../src/jobs/put";
import { secondsLeft, Speed } from "../src/jobs/speed";
import { MOST_TRIES, pauseSeconds, usable, verdictOn } from "../src/jobs/uploadPolicy";
import { UNREADABLE, Uploader, type Means } from "../src/jobs/uploads";

/** As much of an XMLHttpRequest as `put` uses; a test plays the network. */
class FakeRequest {
  static made: FakeRequest[] = [];
  upload: { onprogress?: (event: { loaded: number }) => void; onload?: () => void } = {};
  onload?: () => void;
  onerror?: () => void;
  status = 0;
  responseText = "";
  url = "";
  aborted = false;
  retryAfter: string | null = null;
  constructor() {
    FakeRequest.made.push(this);
  }
  open(_method: string, url: string) {
    this.url = url;
  }
  send() {}
  abort() {
    this.aborted = true;
  }
  getResponseHeader() {
    return this.retryAfter;
  }
  progress(loaded: number) {
    this.upload.onprogress!({ loaded });
  }
  answer(status: number, body: unknown = "") {
    this.status = status;
    this.responseText = typeof body === "string" ? body : JSON.stringify(body);
    this.onload!();
  }
  static last = () => FakeRequest.made.at(-1)!;
}

const fakePut: Put = (url, file, wish) => put(url, file, wish, () => new FakeRequest() as never);
const settle = () => vi.advanceTimersByTimeAsync(0);
const unreachable = () => new ApiError(0, "unreachable", "No answer.");

/** A service that gives out URLs and makes jobs; `failures` are thrown first, by path. */
function site(changes: Partial<Means> = {}) {
  const calls: { path: string; wish: Wish }[] = [];
  const failures: Record<string, Error[]> = {};
  const state = { online: true, urls: 0, done: [] as string[] };
  let uuids = 0;
  const uploader = new Uploader({
    call: async <T>(path: string, wish: Wish = {}): Promise<T> => {
      calls.push({ path, wish });
      const failure = failures[path]?.shift();
      if (failure) throw failure;
      if (path === "submit-job/")
        return { job_id: `job of ${(wish.body as { blob_name: string }).blob_name}` } as T;
      state.urls += 1;
      return { url: `url-${state.urls}`, blob_name: `videos/${state.urls}.mp4` } as T;
    },
    put: fakePut,
    online: () => state.online,
    nowMs: () => Date.now(),
    random: () => 0.5,
    uuid: () => `uuid-${++uuids}`,
    urlSeconds: () => 7200,
    onDone: (upload) => state.done.push(upload.file.name),
    ...changes,
  });
  const submits = () => calls.filter((call) => call.path === "submit-job/");
  return { uploader, calls, submits, failures, state, one: () => uploader.list.value[0]! };
}

const file = (name = "a.mp4", size = 1000) => new File([new Uint8Array(size)], name);

beforeEach(() => {
  vi.useFakeTimers();
  FakeRequest.made = [];
});
afterEach(() => void vi.useRealTimers());

describe("an upload", () => {
  it("goes from file to job", async () => {
    const { uploader, submits, one, state } = site();
    uploader.add(file(), { title: "t" });
    await settle();
    expect(one().phase).toBe("sending");
    FakeRequest.last().progress(400);
    expect(one().sent).toBe(400);
    FakeRequest.last().answer(201);
    await settle();
    expect(one()).toMatchObject({ phase: "done", jobId: "job of videos/1.mp4" });
    expect(submits()[0]!.wish.body).toEqual({ blob_name: "videos/1.mp4", title: "t" });
    expect(submits()[0]!.wish.headers).toHaveProperty("Idempotency-Key");
    expect(state.done).toEqual(["a.mp4"]);
    expect(uploader.underWay).toBe(false);
  });

  it("takes turns with others, and lets them go on when it stops", async () => {
    const { uploader, state } = site();
    for (const name of ["a.mp4", "b.mp4", "c.mp4"]) uploader.add(file(name), {});
    await settle();
    expect(FakeRequest.made.length).toBe(1);
    FakeRequest.last().answer(413, { error: "Too large." });
    await settle();
    expect(uploader.list.value.map((upload) => upload.phase)).toEqual(["stopped", "sending", "waiting"]);
    FakeRequest.last().answer(201);
    await settle();
    FakeRequest.last().answer(201);
    await settle();
    expect(state.done).toEqual(["b.mp4", "c.mp4"]);
  });

  it("tries a broken connection again with the same URL, later each time", async () => {
    const { uploader, state, one } = site();
    uploader.add(file(), {});
    await settle();
    const gaps: number[] = [];
    for (let n = 0; n < 4; n++) {
      FakeRequest.last().onerror!();
      await settle();
      expect(one().phase).toBe("paused");
      const [before, requests] = [Date.now(), FakeRequest.made.length];
      while (FakeRequest.made.length === requests) await vi.advanceTimersByTimeAsync(100);
      gaps.push(Math.round((Date.now() - before) / 1000));
    }
    expect(gaps).toEqual([1, 2, 4, 8]);
    expect(state.urls).toBe(1);
    expect(new Set(FakeRequest.made.map((request) => request.url))).toEqual(new Set(["url-1"]));
    FakeRequest.last().progress(10); // as far as never before: the count of tries begins anew
    FakeRequest.last().answer(503, "busy");
    await settle();
    expect(one().note).toContain("Trying again in 1 s");
  });

  it("gives up in the end, keeps the file, and goes on when told to", async () => {
    const { uploader, one } = site();
    uploader.add(file(), {});
    for (let n = 0; n < MOST_TRIES; n++) {
      await settle();
      FakeRequest.last().onerror!();
      await settle();
      if (one().phase === "paused") await vi.advanceTimersByTimeAsync(60_000);
    }
    expect(one().phase).toBe("stopped");
    expect(uploader.underWay).toBe(false);
    uploader.again(one().id);
    await settle();
    FakeRequest.last().answer(201);
    await settle();
    expect(one().phase).toBe("done");
  });

  it("asks for another URL when the old one's time is over", async () => {
    const { uploader, state, one } = site();
    uploader.add(file(), {});
    await settle();
    vi.setSystemTime(Date.now() + 7150_000);
    FakeRequest.last().onerror!();
    await vi.advanceTimersByTimeAsync(1000);
    expect(FakeRequest.last().url).toBe("url-2");
    FakeRequest.last().answer(403, { error: "The URL has expired.", code: "url_expired" });
    await settle();
    expect(FakeRequest.last().url).toBe("url-3");
    FakeRequest.last().answer(201);
    await settle();
    expect(one().jobId).toBe("job of videos/3.mp4");
    expect(state.urls).toBe(3);
  });

  it("doesn't ask for URLs for ever", async () => {
    const { uploader, state, one } = site();
    uploader.add(file(), {});
    for (let n = 0; n < 10; n++) {
      await settle();
      if (one().phase === "sending") FakeRequest.last().answer(403, "<Error/>");
    }
    await settle();
    expect(one().phase).toBe("stopped");
    expect(state.urls).toBe(4);
  });

  it("repeats a submit whose answer was lost under the same key, without sending again", async () => {
    const { uploader, submits, failures, one } = site();
    failures["submit-job/"] = [
      unreachable(),
      new ApiError(503, "busy", "Busy."),
      new ApiError(429, "rate_limited", "Slow.", null, 7),
    ];
    uploader.add(file(), { title: "t" });
    await settle();
    FakeRequest.last().answer(201);
    await vi.advanceTimersByTimeAsync(4000);
    expect(one().note).toContain("Trying again in 7 s");
    await vi.advanceTimersByTimeAsync(7000);
    expect(one().phase).toBe("done");
    expect(FakeRequest.made.length).toBe(1);
    expect(new Set(submits().map((call) => JSON.stringify([call.wish.headers, call.wish.body]))).size).toBe(
      1,
    );
  });

  it("sends again, under another key, when the service has lost the blob", async () => {
    const { uploader, submits, failures, one } = site();
    failures["submit-job/"] = [new ApiError(400, "blob_not_found", "Blob not found", "blob_name")];
    uploader.add(file(), {});
    await settle();
    FakeRequest.last().answer(201);
    await settle();
    FakeRequest.last().answer(201);
    await settle();
    expect(one().jobId).toBe("job of videos/2.mp4");
    expect(new Set(submits().map((call) => call.wish.headers!["Idempotency-Key"])).size).toBe(2);
  });

  it("submits when the store says that it was submitted already", async () => {
    const { uploader, one } = site();
    uploader.add(file(), {});
    await settle();
    FakeRequest.last().answer(409, { code: "already_submitted", error: "…" });
    await settle();
    expect(one().phase).toBe("done");
  });

  it("waits for the options when a field is refused, and submits with others", async () => {
    const { uploader, submits, failures, one } = site();
    failures["submit-job/"] = [new ApiError(400, "bad_value", "title can't be used.", "title")];
    uploader.add(file(), { title: "bad" });
    await settle();
    FakeRequest.last().answer(201);
    await settle();
    expect(one()).toMatchObject({ phase: "refused", field: "title", note: "title can't be used." });
    uploader.again(one().id, { title: "good" });
    await settle();
    expect(one().phase).toBe("done");
    expect(FakeRequest.made.length).toBe(1);
    expect(submits()[0]!.wish.headers).not.toEqual(submits()[1]!.wish.headers);
  });

  it("waits while the device is offline, however long, and goes on at once", async () => {
    const { uploader, state, one } = site();
    uploader.add(file(), {});
    await settle();
    state.online = false;
    FakeRequest.last().onerror!();
    await vi.advanceTimersByTimeAsync(3_000_000);
    expect(one()).toMatchObject({ phase: "paused" });
    expect(FakeRequest.made.length).toBe(1);
    state.online = true;
    uploader.wake();
    await settle();
    expect(FakeRequest.made.length).toBe(2);
  });

  it("goes on with another key after a 401", async () => {
    const { uploader, failures, one } = site();
    failures["generate-upload-url/"] = [new ApiError(401, "invalid_api_key", "Invalid API key")];
    uploader.add(file(), {});
    await settle();
    expect(one().phase).toBe("stopped");
    uploader.wake(); // the connection was never the trouble
    await settle();
    expect(one().phase).toBe("stopped");
    uploader.keyChanged();
    await settle();
    expect(one().phase).toBe("sending");
  });

  it("ends when removed, in the middle and while it pauses", async () => {
    const { uploader, one } = site();
    for (const pausing of [false, true]) {
      uploader.add(file(), {});
      await settle();
      if (pausing) FakeRequest.last().onerror!();
      await settle();
      uploader.remove(one().id);
      await vi.advanceTimersByTimeAsync(60_000);
      expect(uploader.list.value).toEqual([]);
      expect(FakeRequest.last().aborted).toBe(!pausing);
    }
    uploader.add(file(), {});
    await settle();
    expect(one().phase).toBe("sending");
  });

  it("says so when the file can't be read any more", async () => {
    const { uploader, one } = site();
    const gone = file();
    vi.spyOn(gone, "slice").mockReturnValue({
      arrayBuffer: () => Promise.reject(new Error("gone")),
    } as never);
    uploader.add(gone, {});
    await settle();
    FakeRequest.last().onerror!();
    await settle();
    expect(one()).toMatchObject({ phase: "stopped", note: UNREADABLE });
  });
});

describe("put", () => {
  const run = (signal = new AbortController().signal) => {
    const seen: number[] = [];
    const promise = fakePut("u", file(), { progress: (sent) => seen.push(sent), signal });
    return {
      seen,
      outcome: promise.then(
        () => "done",
        (error: Error) => error,
      ),
    };
  };

  it("reads the store's sentence, and does without one", async () => {
    const first = run();
    FakeRequest.last().retryAfter = "9";
    FakeRequest.last().answer(413, { error: "The file is too large.", code: "upload_too_large" });
    expect(await first.outcome).toMatchObject({
      status: 413,
      code: "upload_too_large",
      message: "The file is too large.",
      retryAfterSeconds: 9,
    });
    const second = run();
    FakeRequest.last().answer(500, "<html>");
    expect(await second.outcome).toMatchObject({ status: 500, message: "The store answered 500." });
  });

  it("takes a connection that halts for broken, but not one that moves", async () => {
    const { outcome } = run();
    for (let sent = 1; sent <= 5; sent++) {
      await vi.advanceTimersByTimeAsync(STALL_MS - 1);
      FakeRequest.last().progress(sent);
    }
    expect(FakeRequest.last().aborted).toBe(false);
    FakeRequest.last().progress(1000);
    await vi.advanceTimersByTimeAsync(2 * STALL_MS); // all has gone: the answer may take longer
    expect(FakeRequest.last().aborted).toBe(false);
    await vi.advanceTimersByTimeAsync(10 * STALL_MS);
    expect(await outcome).toMatchObject({ status: 0 });
    expect(FakeRequest.last().aborted).toBe(true);
  });

  it("stops when told to", async () => {
    const controller = new AbortController();
    const { outcome } = run(controller.signal);
    controller.abort();
    expect(await outcome).toMatchObject({ name: "AbortError" });
    expect(FakeRequest.last().aborted).toBe(true);
  });
});

describe("policy", () => {
  it.each([
    [0, "unreachable", "put", "again"],
    [503, "busy", "url", "again"],
    [429, "rate_limited", "submit", "again"],
    [400, "upload_ended_early", "put", "again"],
    [400, "unknown", "put", "newUrl"],
    [403, "url_expired", "put", "newUrl"],
    [404, "unknown", "put", "newUrl"],
    [413, "upload_too_large", "put", "stop"],
    [401, "invalid_api_key", "submit", "key"],
    [403, "forbidden", "url", "key"],
    [400, "upload_too_large", "submit", "stop"],
    [400, "bad_value", "submit", "fix"],
    [409, "idempotency_conflict", "submit", "stop"],
  ] as const)("%i %s at %s: %s", (status, code, stage, verdict) => {
    expect(verdictOn(new ApiError(status, code, ""), stage)).toBe(verdict);
  });

  it("pauses no longer than half a minute and a bit, but as long as it is asked to", () => {
    expect(pauseSeconds(50, null, () => 1)).toBeLessThan(40);
    expect(pauseSeconds(0, null, () => 0)).toBeGreaterThan(0.5);
    expect(pauseSeconds(1, 120, () => 0)).toBe(120);
  });

  it("doesn't begin with a URL that is about to end", () => {
    const ticket = { url: "u", blobName: "b", expiresAtMs: 1000_000 };
    expect(usable(ticket, 900_000)).toBe(true);
    expect(usable(ticket, 950_000)).toBe(false);
    expect(usable(null, 0)).toBe(false);
  });
});

describe("speed", () => {
  it("is that of the last seconds", () => {
    const speed = new Speed();
    speed.note(0, 0);
    speed.note(10, 100);
    expect(speed.get()).toBeNull();
    for (let at = 1000; at <= 60_000; at += 1000)
      speed.note(at <= 30_000 ? at : 30_000 + 4 * (at - 30_000), at);
    expect(speed.get()).toBeCloseTo(4000, 0);
    expect(secondsLeft(500, 1500, 250)).toBe(4);
    expect(secondsLeft(0, 10, 0)).toBeNull();
    speed.note(5, 61_000); // a new try begins at nothing
    expect(speed.get()).toBeNull();
  });
});

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ApiError, type JobDetail } from "../src/common/api";
import { changesBetween } from "../src/jobs/announcements";
import {
  fileChoices,
  kindOf,
  linkEnd,
  optionsText,
  progressOf,
  qualityText,
  reprocessingText,
  statusText,
} from "../src/jobs/jobText";
import { query, reconciled } from "../src/jobs/listing";
import { delaySeconds, Poller, type Pace } from "../src/jobs/poll";
import { keyComplaint, refusalSentence } from "../src/jobs/session";
import { due, markOf, sameObject, Thumbnails } from "../src/jobs/thumbnails";

function job(values: Partial<JobDetail> = {}): JobDetail {
  return {
    job_id: "1", title: "Fox", status: "Queued", percent_complete: null, uploaded_at: "2026-01-02T03:04:05Z",
    public: false, reconstruction_method: "glomap", training_max_num_gaussians: 100_000, training_num_steps: 3000,
    remove_background: false, has_ply: false, has_spz: false, camera_data: null, current_step: null,
    step_percent: null, queue_position: null, estimated_time_remaining: null, error_code: null, error_message: null,
    warnings: [], apriltag_size_mm: null, mesh: false, camera_type: null, max_frames: null, train_side_px: null,
    files: {}, quality: null, scale: null, started_at: null, finished_at: null, viewer_url: null, ...values,
  }; // prettier-ignore
}

describe("pace", () => {
  const pace = (values: Partial<Pace>) =>
    delaySeconds(
      { active: false, visible: true, failures: 0, retryAfterSeconds: null, ...values },
      () => 0.5,
    );

  it("is quick only while there is something to see and somebody to see it", () => {
    expect(pace({ active: true })).toBe(3);
    expect(pace({ active: true, visible: false })).toBe(20);
    expect(pace({})).toBe(20);
  });

  it("slows down with failures, to a minute, and does as it is told", () => {
    expect([1, 2, 3, 4].map((failures) => pace({ failures }))).toEqual([3, 6, 12, 24]);
    expect(pace({ failures: 1000 })).toBe(60);
    expect(pace({ failures: 1, retryAfterSeconds: 45 })).toBe(45);
  });
});

describe("the list", () => {
  it("is asked for page by page", () => {
    expect(query("all", 1)).toBe("jobs/?detail=true&limit=50&offset=0");
    expect(query("failed", 3)).toBe("jobs/?detail=true&limit=50&offset=100&status=failed");
  });

  it("keeps what hasn't changed", () => {
    const [a, b] = [job({ job_id: "a" }), job({ job_id: "b" })];
    const fresh = [job({ job_id: "c" }), job({ job_id: "a" }), job({ job_id: "b", title: "New" })];
    const result = reconciled([a, b], fresh);
    expect(result).toEqual(fresh);
    expect(result[1]).toBe(a);
    expect(result[2]).not.toBe(b);
  });
});

describe("the poller", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it("never asks twice at a time, and once more when it was wished for meanwhile", async () => {
    let [running, most, done] = [0, 0, 0];
    const work = async () => {
      most = Math.max(most, ++running);
      await new Promise((resolve) => setTimeout(resolve, 1000));
      running -= 1;
      done += 1;
    };
    const poller = new Poller(work, () => ({
      active: true,
      visible: true,
      failures: 0,
      retryAfterSeconds: null,
    }));
    poller.now();
    expect(running).toBe(0); // not before it is started
    poller.start();
    for (let n = 0; n < 5; n++) poller.now();
    await vi.advanceTimersByTimeAsync(2500);
    expect([most, done]).toEqual([1, 2]);
    await vi.advanceTimersByTimeAsync(8000);
    expect(done).toBe(4);
    poller.stop();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(done).toBe(4);
  });
});

describe("a job in words", () => {
  it.each([
    ["Queued - position: 3", "queued"],
    ["Processing video", "working"],
    ["Generating 3D scene", "working"],
    ["Finished", "finished"],
    ["Failed", "failed"],
    ["Not found", "lost"],
    ["Something of tomorrow", "working"],
  ])("%s is %s", (status, kind) => expect(kindOf({ status })).toBe(kind));

  it("tells its place, its end and how far it is", () => {
    expect(statusText(job({ queue_position: 1234 }))).toBe("Queued, position 1,234");
    expect(statusText(job({ status: "Failed", error_code: "cancelled" }))).toBe("Cancelled");
    const finding = job({ status: "Processing video", current_step: "sfm", step_percent: 40 });
    expect(progressOf(finding)).toEqual({ percent: 40, text: "finding the cameras, 40 % of this step" });
    const training = {
      ...finding,
      percent_complete: 25,
      current_step: "train",
      estimated_time_remaining: 61,
    };
    expect(progressOf(training)).toEqual({ percent: 25, text: "25 % · training · about 2 min left" });
    expect(progressOf(job({ status: "Finished", percent_complete: 100 }))).toBeNull();
  });

  it("tells options and quality", () => {
    expect(optionsText(job({ mesh: true, apriltag_size_mm: 95.6, camera_type: "orbital" }))).toBe(
      "3,000 steps · 100,000 Gaussians · glomap · mesh · tags of 95.6 mm · orbital view",
    );
    expect(qualityText(job({ quality: { psnr_db: 30.92, frames_given: 50, frames_registered: 49 } }))).toBe(
      "PSNR 30.9 dB · 49 of 50 frames registered",
    );
    expect(qualityText(job({ quality: { psnr_db: null } }))).toBeNull();
    expect(qualityText(job())).toBeNull();
  });

  it("says that a better result is being made", () => {
    expect(reprocessingText(job())).toBeNull();
    expect(reprocessingText(job({ reprocessing: { state: "queued", percent: null } }))).toContain("waiting");
    expect(reprocessingText(job({ reprocessing: { state: "running", percent: 40 } }))).toBe(
      "Being made again: 40 %",
    );
    expect(optionsText(job({ priority: "batch" }))).toContain("when nothing else waits");
  });

  it("offers every file, also of kinds that it doesn't know", () => {
    const files = {
      hologram: { bytes: 3, sha256: null },
      ply: { bytes: 2, sha256: null },
      spz: { bytes: 1, sha256: null },
    };
    expect(fileChoices({ files }).map((choice) => choice.kind)).toEqual(["spz", "ply", "hologram"]);
    expect(fileChoices({ files }).at(-1)).toEqual({ kind: "hologram", label: "hologram", bytes: 3 });
  });

  it("knows when a link ends", () => {
    expect(linkEnd("http://h/scenes/1")).toBeNull();
    expect(linkEnd("http://h/scenes/1?expires=1000&signature=x")).toEqual(new Date(1_000_000));
  });
});

describe("what is read aloud", () => {
  const running = job({ status: "Generating 3D scene", percent_complete: 3 });
  it("is silent about percentages and new jobs", () => {
    expect(changesBetween([running], [{ ...running, percent_complete: 9 }, job({ job_id: "2" })])).toBeNull();
  });

  it("tells ends with their reasons, and many at once in short", () => {
    const failed = {
      ...running,
      status: "Failed",
      error_code: "no_parallax",
      error_message: "Move sideways.",
    };
    expect(changesBetween([running], [failed])).toBe("Fox: Failed. Move sideways.");
    const many = [1, 2, 3, 4].map((n) => ({ ...running, job_id: String(n) }));
    expect(
      changesBetween(
        many,
        many.map((one) => ({ ...one, status: "Finished" })),
      ),
    ).toBe("4 jobs have changed.");
  });
});

describe("thumbnails", () => {
  const training = (percent: number) =>
    job({ status: "Generating 3D scene", current_step: "train", percent_complete: percent });

  it("are asked for again when the job went on, but not at every poll", () => {
    const entry = { askedAtMs: 0, mark: markOf(training(1)), failures: 0 };
    expect(due(entry, markOf(training(2)), 5_000)).toBe(false);
    expect(due(entry, markOf(training(2)), 10_000)).toBe(true);
    expect(due(entry, markOf(training(1)), 10_000)).toBe(false);
    expect(due(entry, markOf(training(1)), 600_000)).toBe(true); // its URL is about to end
    expect(due({ ...entry, failures: 3 }, markOf(training(1)), 700_000)).toBe(false);
  });

  it("stay the same under a newer signature", async () => {
    let [now, answer] = [1e9, "http://s/1.jpg?signature=a" as string | null];
    const thumbnails = new Thumbnails(
      () => Promise.resolve(answer),
      () => now,
    );
    await thumbnails.show(training(1));
    answer = "http://s/1.jpg?signature=b";
    now += 20_000;
    await thumbnails.show(training(2));
    expect(thumbnails.url("1").value).toBe("http://s/1.jpg?signature=a");
    answer = "http://s/2.jpg?signature=c";
    now += 20_000;
    await thumbnails.show(training(3));
    expect(thumbnails.url("1").value).toBe(answer);
    now += 700_000; // scrolled away and back: the old URL would not load
    thumbnails.open("1");
    expect(thumbnails.url("1").value).toBeNull();
    await thumbnails.show(training(3));
    expect(thumbnails.url("1").value).toBe(answer);
    expect(sameObject(null, answer)).toBe(false);
  });

  it("survive a service that is away and pictures that don't load", async () => {
    let [now, fails] = [1e9, true];
    const thumbnails = new Thumbnails(
      () => (fails ? Promise.reject(new Error()) : Promise.resolve("u")),
      () => now,
    );
    await thumbnails.show(training(1));
    expect(thumbnails.url("1").value).toBeNull();
    fails = false;
    now += 10_000;
    await thumbnails.show(training(1));
    expect(thumbnails.url("1").value).toBe("u");
    thumbnails.broken("1");
    expect(thumbnails.url("1").value).toBeNull();
  });
});

describe("signing in", () => {
  it("says for each refusal what to do", () => {
    const sentences = [401, 403, 429, 0, 500].map((status) => refusalSentence(new ApiError(status, "", "")));
    expect(new Set(sentences).size).toBe(5);
    expect(refusalSentence(new ApiError(429, "", "", null, 12.2))).toContain("13 s");
    expect(keyComplaint("sfk_abc-DEF_1")).toBeNull();
    for (const bad of ["", "a b", "schlüssel", "a\nb"]) expect(keyComplaint(bad)).not.toBeNull();
  });
});

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { SceneData } from "../src/common/pageData";
import { follow } from "../src/scene/live";

/** The browser's stream of events, with its other end in the test's hand. */
class Stream extends EventTarget {
  static readonly CLOSED = 2;
  static all: Stream[] = [];
  readyState = 1;
  constructor(readonly url: string) {
    super();
    Stream.all.push(this);
  }
  close() {
    this.readyState = Stream.CLOSED;
  }
  tell(type: string, data?: unknown) {
    this.dispatchEvent(
      data === undefined ? new Event(type) : new MessageEvent(type, { data: JSON.stringify(data) }),
    );
  }
  fail(state: number) {
    this.readyState = state;
    this.tell("error");
  }
}

const scene = (values: Partial<SceneData> = {}) =>
  ({ data_url: "/data", events_url: "/events", link_expires: null, title: "t", ...values }) as SceneData;

function heard(first = scene()) {
  const log: string[] = [];
  const stop = follow(first, {
    scene: ({ title }) => log.push(`scene ${title}`),
    end: (why) => log.push(`end ${why}`),
    away: (away) => log.push(away ? "away" : "here"),
  });
  return { log, stop };
}

/** What of a document the page's visibility needs. */
class Page extends EventTarget {
  hidden = false;
  show(shown: boolean) {
    this.hidden = !shown;
    this.dispatchEvent(new Event("visibilitychange"));
  }
}
let page = new Page();

const answers: (() => Promise<Response>)[] = [];
const answer = (response: Response) => answers.push(async () => response);

beforeEach(() => {
  vi.useFakeTimers();
  Stream.all = [];
  answers.length = 0;
  vi.stubGlobal("EventSource", Stream);
  vi.stubGlobal("window", globalThis);
  page = new Page();
  vi.stubGlobal("document", page);
  vi.stubGlobal("fetch", () => answers.shift()!());
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe("following a scene", () => {
  it("hears what changes, and that it is gone", () => {
    const { log } = heard();
    Stream.all[0]!.tell("scene", scene({ title: "b" }));
    Stream.all[0]!.tell("gone", {});
    expect(log.filter((line) => line !== "here")).toEqual(["scene b", "end gone"]);
    expect(Stream.all[0]!.readyState).toBe(Stream.CLOSED);
  });

  it("holds no connection while nobody looks, and catches up", async () => {
    const { log, stop } = heard();
    page.show(false);
    expect(Stream.all[0]!.readyState).toBe(Stream.CLOSED);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(log.filter((line) => line !== "here")).toEqual([]);
    answer(new Response(JSON.stringify(scene({ title: "meanwhile" }))));
    page.show(true);
    await vi.advanceTimersByTimeAsync(0);
    expect(log.filter((line) => line !== "here")).toEqual(["scene meanwhile"]);
    expect(Stream.all).toHaveLength(2);
    stop();
    page.show(false);
    page.show(true);
    expect(Stream.all).toHaveLength(2);
  });

  it("tells a link that ended from a scene that is gone", () => {
    const { log } = heard(scene({ link_expires: Date.now() / 1000 - 1 }));
    Stream.all[0]!.tell("gone", {});
    expect(log).toContain("end expired");
  });

  it("says that the service is away only when it stays away, and that it is back", async () => {
    const { log } = heard();
    Stream.all[0]!.fail(0); // the browser tries again by itself
    await vi.advanceTimersByTimeAsync(1000);
    Stream.all[0]!.tell("open");
    expect(log).not.toContain("away");
    Stream.all[0]!.fail(0);
    await vi.advanceTimersByTimeAsync(3000);
    expect(log.at(-1)).toBe("away");
    Stream.all[0]!.tell("open");
    expect(log.at(-1)).toBe("here");
  });

  it("tries again where the browser gives up, and goes on with what it missed", async () => {
    const { log } = heard();
    answers.push(() => Promise.reject(new TypeError("Failed to fetch")));
    answer(new Response("bad gateway", { status: 502 }));
    answer(Response.json(scene({ title: "later" })));
    Stream.all[0]!.fail(Stream.CLOSED);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(answers).toHaveLength(0);
    expect(Stream.all).toHaveLength(2);
    Stream.all[1]!.tell("open");
    expect(log.filter((line) => line !== "here")).toEqual(["away", "scene later"]);
  });

  it.each([
    [404, "end gone"],
    [403, "end expired"],
  ])("ends when the service answers %s", async (status, line) => {
    const { log } = heard();
    answer(new Response("{}", { status }));
    Stream.all[0]!.fail(Stream.CLOSED);
    await vi.advanceTimersByTimeAsync(1500);
    expect(log.at(-1)).toBe(line);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(Stream.all).toHaveLength(1);
  });

  it("is quiet once stopped", async () => {
    const { log, stop } = heard();
    Stream.all[0]!.fail(Stream.CLOSED);
    stop();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(log).toEqual([]);
  });
});

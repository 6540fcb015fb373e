/** What the service tells while a page is open. */

import type { SceneData } from "../common/pageData";
import type { SceneEnd } from "./pageState";

export interface Listener {
  scene(scene: SceneData): void;
  end(end: SceneEnd): void;
  /** The service can't be reached, or can again. */
  away(away: boolean): void;
}

const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 20_000;
const AWAY_AFTER_MS = 2500; // streams are renewed now and then; nobody needs to know

/** Listens until the scene can't be looked at any more, whatever happens to the connection. Returns what stops it. */
export function follow(first: SceneData, listener: Listener): () => void {
  let urls = { data: first.data_url, events: first.events_url };
  let expires = first.link_expires;
  let source: EventSource | null = null;
  let wait = FIRST_WAIT_MS;
  let timer = 0;
  let awayTimer = 0;
  let stopped = false;

  function connect(): void {
    source = new EventSource(urls.events);
    source.addEventListener("open", back);
    source.addEventListener("scene", (event) => {
      const scene = JSON.parse((event as MessageEvent<string>).data) as SceneData;
      urls = { data: scene.data_url, events: scene.events_url };
      expires = scene.link_expires;
      back();
      listener.scene(scene);
    });
    source.addEventListener("gone", () => {
      finish(expires !== null && expires * 1000 <= Date.now() ? "expired" : "gone");
    });
    source.addEventListener("error", () => {
      awayTimer ||= window.setTimeout(() => listener.away(true), AWAY_AFTER_MS);
      // Some browsers and proxies end a stream for good where others try again.
      if (source?.readyState === EventSource.CLOSED) later();
    });
  }

  function back(): void {
    wait = FIRST_WAIT_MS;
    clearTimeout(awayTimer);
    awayTimer = 0;
    listener.away(false);
  }

  function later(): void {
    source?.close();
    clearTimeout(timer);
    if (!stopped && !document.hidden) timer = window.setTimeout(() => void ask(), wait);
    wait = Math.min(LONGEST_WAIT_MS, 2 * wait);
  }

  /** Why there are no events: the scene is gone, the link has ended, or the service is away. */
  async function ask(): Promise<void> {
    let response: Response;
    try {
      response = await fetch(urls.data, { credentials: "omit", cache: "no-store" });
    } catch {
      return later();
    }
    if (stopped) return;
    if (response.status === 404) return finish("gone");
    if (response.status === 403) return finish("expired");
    if (!response.ok) return later();
    listener.scene((await response.json()) as SceneData);
    if (!stopped && !document.hidden) connect();
  }

  /** Browsers open six connections to a host (HTTP/1.1): a page that nobody looks at holds none, and asks when it is looked at again. */
  function look(): void {
    clearTimeout(timer);
    if (document.hidden) {
      source?.close();
      clearTimeout(awayTimer);
      awayTimer = 0;
    } else if (source === null || source.readyState === EventSource.CLOSED) void ask();
  }

  function finish(end: SceneEnd): void {
    stop();
    listener.away(false);
    listener.end(end);
  }

  function stop(): void {
    stopped = true;
    source?.close();
    clearTimeout(timer);
    clearTimeout(awayTimer);
    document.removeEventListener("visibilitychange", look);
  }

  document.addEventListener("visibilitychange", look);
  if (!document.hidden) connect();
  return stop;
}

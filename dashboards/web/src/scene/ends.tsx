/** Pages of scenes that can't be shown. */

import { useEffect, useState } from "preact/hooks";
import { ApiError, call, type JobDetail } from "../common/api";
import type { SceneData } from "../common/pageData";
import { Message } from "./message";
import { key, say, told } from "./state";

export function Unavailable() {
  return (
    <Message title="This scene can't be shown">
      <p>This scene is private, or it doesn't exist any more. Whoever made it can send you a link.</p>
      <OwnLink />
    </Message>
  );
}

export function Expired() {
  return (
    <Message title="This link has expired">
      <p>Links to private scenes last for a while only. Ask whoever sent it for a new one.</p>
      <OwnLink />
    </Message>
  );
}

export function Gone() {
  return (
    <Message title="This scene isn't there any more">
      <p>It was deleted or made private while this page was open.</p>
      <OwnLink />
    </Message>
  );
}

/** Who has signed in here before comes to the own scene without a link. */
function OwnLink() {
  const [looking, setLooking] = useState(key.value !== null);
  useEffect(() => {
    if (key.value === null) return;
    const id = encodeURIComponent(location.pathname.split("/")[2] ?? "");
    call<JobDetail>(key.value, `jobs/${id}/`)
      .then(({ viewer_url }) => {
        const url = viewer_url === null ? null : new URL(viewer_url, location.href);
        if (url !== null && url.origin === location.origin && url.href !== location.href)
          location.replace(url);
        else setLooking(false);
      })
      .catch(() => setLooking(false));
  }, []);
  if (looking) return <p role="status">Looking for it among your scenes…</p>;
  return told.embed ? null : (
    <p>
      <a class="button" href="/">
        To your scenes
      </a>
    </p>
  );
}

export function Failed({ scene }: { scene: SceneData }) {
  const [busy, setBusy] = useState(false);
  async function retry() {
    setBusy(true);
    try {
      await call(key.value!, `jobs/${scene.job_id}/retry/`, { method: "POST" });
      say("It is tried again.");
    } catch (error) {
      say(refusalText(error), true);
      setBusy(false);
    }
  }
  return (
    <Message title={scene.title}>
      <p class="status bad">{scene.status}</p>
      <p>{scene.error_message ?? "The scene could not be made."}</p>
      {scene.error_code && (
        <p class="quiet">
          Error code: <code>{scene.error_code}</code>
        </p>
      )}
      {key.value !== null && (
        <p>
          <button type="button" class="button" disabled={busy} onClick={() => void retry()}>
            Try again
          </button>
        </p>
      )}
    </Message>
  );
}

/** A sentence for what the API refused. */
export function refusalText(error: unknown): string {
  if (!(error instanceof ApiError)) return "That didn't work; please try again.";
  if (error.status === 401) return "Your key isn't valid any more: sign in again on the jobs page.";
  if (error.status === 404) return "The key that you signed in with is not this scene's owner's.";
  return error.message;
}

/** Why there is nothing to walk in. */
export function whyNoScene(scene: Pick<SceneData, "expired_at">, webgl2: boolean): string {
  if (scene.expired_at) {
    const day = new Date(scene.expired_at).toLocaleDateString(undefined, { dateStyle: "long" });
    return `The files of this scene are kept for a while only; they were removed on ${day}.`;
  }
  return webgl2
    ? "There is no file of this scene that could be walked in."
    : "To walk in this scene, the browser needs WebGL 2. Update it, switch hardware acceleration on, or open this page on another device.";
}

/** For browsers that can't draw scenes, and scenes without a file that can be drawn. */
export function Picture({ scene, webgl2 }: { scene: SceneData; webgl2: boolean }) {
  const still = scene.files.poster?.url ?? scene.preview_url;
  const film = scene.files.mp4?.url;
  return (
    <Message title={scene.title}>
      {film ? (
        <video
          src={film}
          poster={still ?? undefined}
          controls
          loop
          muted
          playsInline
          aria-label={`Turntable of ${scene.title}`}
        />
      ) : (
        still && <img class="still" src={still} alt={`Picture of ${scene.title}`} />
      )}
      <p>{whyNoScene(scene, webgl2)}</p>
    </Message>
  );
}

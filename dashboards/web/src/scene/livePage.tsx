/** How far a scene is. Turns into the viewer by itself, as the page's state does. */

import { useEffect, useState } from "preact/hooks";
import { duration } from "../common/format";
import type { SceneData } from "../common/pageData";
import { shownSteps } from "./pageState";
import { away, seenSteps } from "./state";

export function LivePage({ scene }: { scene: SceneData }) {
  const percent = scene.percent_complete ?? 0;
  return (
    <main class="message">
      <div class="card live">
        <h1>{scene.title}</h1>
        <p class="status" role="status">
          {scene.queue_position === null
            ? scene.status
            : `Waiting: position ${scene.queue_position} in the queue`}
        </p>
        <div
          class="bar"
          role="progressbar"
          aria-label="Progress"
          aria-valuemin={0}
          aria-valuemax={100}
          aria-valuenow={percent}
        >
          <div style={{ transform: `scaleX(${percent / 100})` }} />
        </div>
        <p class="figures">
          <span>{percent} %</span>
          {scene.estimated_time_remaining !== null && (
            <span>about {duration(scene.estimated_time_remaining)} left</span>
          )}
        </p>
        <Preview url={scene.preview_url} title={scene.title} />
        <ol class="steps">
          {shownSteps(scene.current_step, seenSteps.value).map(({ step, text, state }) => (
            <li key={step} class={state} aria-current={state === "current" ? "step" : undefined}>
              <span>{text}</span>
              {state === "current" && scene.step_percent !== null && <small>{scene.step_percent} %</small>}
              {state === "done" && <small>done</small>}
            </li>
          ))}
        </ol>
        <p class="quiet">This page follows by itself and becomes the scene when it is ready.</p>
      </div>
    </main>
  );
}

/** The newest preview picture. The one before stays until the new one is there, so nothing flickers. */
function Preview({ url, title }: { url: string | null; title: string }) {
  const [shown, setShown] = useState<string | null>(null);
  const which = url?.split("?")[0]; // the signature is new each time, the picture isn't
  useEffect(() => {
    if (!url) return;
    let wanted = true;
    const picture = new Image();
    picture.src = url;
    picture
      .decode()
      .then(() => wanted && setShown(url))
      .catch(() => {}); // a newer one is on its way
    return () => {
      wanted = false;
    };
  }, [which]);
  return shown && <img class="still" src={shown} alt={`${title}, as far as it is trained`} />;
}

/** Over every page while the service can't be reached. */
export function Away() {
  return (
    <div class="away-region" role="status">
      {away.value && (
        <p class="away">The service can't be reached just now. This page goes on as soon as it is back.</p>
      )}
    </div>
  );
}

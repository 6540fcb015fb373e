/** The scene itself. Three and Spark come after the first paint, beside the scene's file. */

import { effect } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";
import { bytes } from "../common/format";
import type { SceneData } from "../common/pageData";
import { CompareTool } from "./compareTool";
import { FileError } from "./files";
import { attach } from "./handle";
import { Icon } from "./icons";
import { MeasureTool } from "./measureTool";
import { Panels } from "./panels";
import { Shortcuts } from "./shortcuts";
import { background, exposureEv, files, panel, told, tool, webgl2 } from "./state";
import { tick } from "./tick";
import { Toolbar } from "./toolbar";
import type { Viewer } from "./viewer";
import { hasWebgl2 } from "./webgl2";

type Phase =
  | { is: "loading"; done: number; total: number }
  | { is: "decoding" }
  | { is: "shown"; viewer: Viewer; splats: number }
  | { is: "failed"; text: string }
  | { is: "lost" };

export function ViewerPage({ scene }: { scene: SceneData }) {
  const [phase, setPhase] = useState<Phase>({ is: "loading", done: 0, total: 0 });
  const [attempt, setAttempt] = useState(0);
  const root = useRef<HTMLElement>(null);
  const stage = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);

  useEffect(() => {
    const ending = new AbortController();
    let viewer: Viewer | null = null;
    let unlook = () => {};
    setPhase({ is: "loading", done: 0, total: 0 });

    async function open(): Promise<void> {
      if (!hasWebgl2()) {
        webgl2.value = false;
        return;
      }
      const kinds = (["spz", "ply"] as const).filter((kind) => scene.files[kind]);
      const code = import("./viewer");
      for (const [place, kind] of kinds.entries()) {
        try {
          const progress = (done: number, total: number) => setPhase({ is: "loading", done, total });
          const [content, { Viewer }] = await Promise.all([
            files!.bytes(kind, progress, ending.signal),
            code,
          ]);
          setPhase({ is: "decoding" });
          viewer ??= new Viewer({
            stage: stage.current!,
            canvas: canvas.current!,
            camera: scene.camera_data,
            splats: scene.quality.num_gaussians,
            keyboard: !told.embed,
            drawn: () => (tick.value += 1),
            lost: () => setPhase({ is: "lost" }),
          });
          const splats = await viewer.load(content, kind);
          if (ending.signal.aborted) return;
          const shown = viewer;
          unlook = effect(() => shown.setLook(background.value, exposureEv.value));
          setPhase({ is: "shown", viewer, splats });
          await attach(viewer);
          return;
        } catch (error) {
          if (ending.signal.aborted) return;
          if (place < kinds.length - 1) continue;
          console.info("The scene could not be opened:", error);
          setPhase({
            is: "failed",
            text: error instanceof FileError ? error.message : "The scene's file can't be opened.",
          });
        }
      }
    }
    void open();
    return () => {
      ending.abort();
      unlook();
      void attach(null);
      viewer?.dispose();
      panel.value = tool.value = null;
    };
  }, [attempt]);

  const shown = phase.is === "shown" ? phase : null;
  return (
    <main class="viewer" ref={root}>
      <div
        class="stage"
        ref={stage}
        tabIndex={0}
        role="application"
        aria-label={`${scene.title}: the scene. Drag to look around${told.embed ? "" : "; press ? for help"}.`}
      >
        <canvas key={attempt} ref={canvas} aria-hidden="true" hidden={shown === null} />
      </div>
      {!told.embed && <h1 class="scene-title">{scene.title}</h1>}
      {phase.is === "loading" && <Loading done={phase.done} total={phase.total} still={scene.preview_url} />}
      {phase.is === "decoding" && (
        <Loading done={1} total={1} still={scene.preview_url} text="Opening the scene" />
      )}
      {(phase.is === "failed" || phase.is === "lost") && (
        <div class="center">
          <div class="card" role="alert">
            <p>
              {phase.is === "failed" ? phase.text : "The browser took the graphics card away from this page."}
            </p>
            <button
              type="button"
              class="button"
              onClick={() => (phase.is === "failed" ? setAttempt(attempt + 1) : location.reload())}
            >
              {phase.is === "failed" ? "Try again" : "Load the page again"}
            </button>
          </div>
        </div>
      )}
      {shown && !told.embed && (
        <>
          <Shortcuts viewer={shown.viewer} root={() => root.current} />
          {tool.value === "measure" && (
            <MeasureTool viewer={shown.viewer} stage={stage.current!} metric={scene.metric} />
          )}
          {tool.value === "compare" ? (
            <CompareTool viewer={shown.viewer} />
          ) : (
            <Toolbar viewer={shown.viewer} scene={scene} root={() => root.current} />
          )}
          <Panels scene={scene} splats={shown.splats} />
        </>
      )}
      {told.embed && (
        <a
          class="tool open-link"
          href={scene.page_url}
          target="_blank"
          rel="noopener"
          aria-label="Open the scene in its own page"
        >
          <Icon name="open" />
        </a>
      )}
    </main>
  );
}

interface LoadingProps {
  done: number;
  total: number;
  still: string | null;
  text?: string;
}

function Loading({ done, total, still, text }: LoadingProps) {
  const part = total > 0 ? done / total : 0;
  return (
    <div class="center">
      {still && (
        <img class="behind" src={still} alt="" onError={(event) => (event.currentTarget.hidden = true)} />
      )}
      <div class="loading">
        <p role="status">{text ?? "Loading the scene"}</p>
        <div
          class="bar"
          role="progressbar"
          aria-label="Loading the scene"
          aria-valuemin={0}
          aria-valuemax={100}
          aria-valuenow={Math.round(100 * part)}
        >
          <div style={{ transform: `scaleX(${part})` }} />
        </div>
        <p class="figures">{text === undefined && total > 0 && `${bytes(done)} of ${bytes(total)}`}</p>
      </div>
    </div>
  );
}

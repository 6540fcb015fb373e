/** What opens beside the picture, one at a time. */

import { useLayoutEffect, useRef } from "preact/hooks";
import { count, bytes } from "../common/format";
import type { SceneData } from "../common/pageData";
import { Frame } from "./frame";
import { Help } from "./help";
import { scaleText } from "./length";
import { embedSnippet } from "./names";
import { background, exposureEv, files, key, panel, say } from "./state";

export function Panels({ scene, splats }: { scene: SceneData; splats: number | null }) {
  const now = panel.value;
  const before = useRef(now);
  useLayoutEffect(() => {
    // The focus was in what is gone: back to the button that had opened it.
    if (now === null && before.current !== null && document.activeElement === document.body)
      document.getElementById(`open-${before.current}`)?.focus();
    before.current = now;
  }, [now]);
  switch (now) {
    case "info":
      return <Info scene={scene} splats={splats} />;
    case "look":
      return <Look />;
    case "share":
      return <Share scene={scene} />;
    case "help":
      return <Help />;
    default:
      return null;
  }
}

function Info({ scene, splats }: { scene: SceneData; splats: number | null }) {
  const { quality: q, files: has } = scene;
  const rows: [string, string | null][] = [
    ["Splats", splats === null && q.num_gaussians === null ? null : count(splats ?? q.num_gaussians!)],
    ["SPZ file", has.spz ? bytes(has.spz.bytes) : null],
    ["PLY file", has.ply ? bytes(has.ply.bytes) : null],
    ["Held-out PSNR", q.psnr_db === null ? null : `${q.psnr_db.toFixed(1)} dB`],
    ["Held-out SSIM", q.ssim === null ? null : q.ssim.toFixed(3)],
    ["PSNR of the subject", q.subject_psnr_db === null ? null : `${q.subject_psnr_db.toFixed(1)} dB`],
    ["Frames used", q.frames_registered === null ? null : frames(q.frames_registered, q.frames_given)],
    ["Scale", scaleText(scene.metric, scene.scale_uncertainty)],
  ];
  return (
    <Frame name="info" title="About this scene">
      <p class="title">{scene.title}</p>
      <dl>
        {rows.map(([name, value]) =>
          value === null ? null : (
            <div key={name}>
              <dt>{name}</dt>
              <dd>{value}</dd>
            </div>
          ),
        )}
      </dl>
      <p class="links">
        <FileLink kind="mp4" text="Turntable film" />
        <FileLink kind="poster" text="Poster" />
      </p>
    </Frame>
  );
}

const frames = (used: number, given: number | null) =>
  given === null ? count(used) : `${count(used)} of ${count(given)}`;

/** Its address is looked up when it is wanted: signed ones end. */
function FileLink({ kind, text }: { kind: "mp4" | "poster"; text: string }) {
  const file = files?.current(kind);
  if (!file) return null;
  async function open(event: MouseEvent) {
    event.preventDefault();
    const tab = window.open("about:blank", "_blank"); // now, while the click still allows it
    const url = await files!.url(kind).catch(() => null);
    if (url === null) {
      tab?.close();
      return say("The file can't be fetched just now.", true);
    }
    if (tab === null) location.assign(url);
    else {
      tab.opener = null;
      tab.location.replace(url);
    }
  }
  return (
    <a href={file.url} onClick={(event) => void open(event)}>
      {text} ({bytes(file.bytes)})
    </a>
  );
}

const GROUNDS: [string, string][] = [
  ["#000000", "Black"],
  ["#808080", "Grey"],
  ["#ffffff", "White"],
];

function Look() {
  const ev = exposureEv.value;
  return (
    <Frame name="look" title="Look">
      <fieldset>
        <legend>Background</legend>
        <div class="grounds">
          {GROUNDS.map(([colour, name]) => (
            <button
              key={colour}
              type="button"
              class="button plain"
              aria-pressed={background.value === colour}
              onClick={() => (background.value = colour)}
            >
              <span class="swatch" style={{ background: colour }} />
              {name}
            </button>
          ))}
          <label class="colour">
            <span>Other</span>
            <input
              type="color"
              value={background.value}
              onInput={(e) => (background.value = e.currentTarget.value)}
            />
          </label>
        </div>
      </fieldset>
      <label class="slider">
        <span>
          Exposure <output>{`${ev > 0 ? "+" : ""}${ev.toFixed(1)} EV`}</output>
        </span>
        <input
          type="range"
          min={-3}
          max={3}
          step={0.1}
          value={ev}
          onInput={(e) => (exposureEv.value = e.currentTarget.valueAsNumber)}
        />
      </label>
      <p>
        <button
          type="button"
          class="button plain"
          onClick={() => {
            exposureEv.value = 0;
            background.value = "#000000";
          }}
        >
          As it was trained
        </button>
      </p>
      <p class="quiet">For this visit only; the scene itself stays as it is.</p>
    </Frame>
  );
}

function Share({ scene }: { scene: SceneData }) {
  const ends = scene.link_expires === null ? null : new Date(scene.link_expires * 1000);
  const snippet = embedSnippet(scene.page_url, scene.title);
  return (
    <Frame name="share" title="Share">
      <Copied label="Link" text={scene.page_url} />
      {ends && (
        <p>
          This scene is private. Whoever has this link can look at it until{" "}
          <time dateTime={ends.toISOString()}>
            {ends.toLocaleString("en", { dateStyle: "medium", timeStyle: "short" })}
          </time>
          {key.value === null ? "." : "; make it public on the jobs page for a link that lasts."}
        </p>
      )}
      <Copied label="Embed in another page" text={snippet} />
    </Frame>
  );
}

function Copied({ label, text }: { label: string; text: string }) {
  const field = useRef<HTMLTextAreaElement>(null);
  async function copy() {
    try {
      await navigator.clipboard.writeText(text);
      say("Copied.");
    } catch {
      field.current?.select(); // not over plain HTTP, or not allowed: by hand
      say("Press Ctrl+C (or ⌘C) to copy.");
    }
  }
  return (
    <div class="copied">
      <label>
        <span>{label}</span>
        <textarea readOnly rows={3} value={text} ref={field} onFocus={(e) => e.currentTarget.select()} />
      </label>
      <button type="button" class="button" onClick={() => void copy()}>
        Copy
      </button>
    </div>
  );
}

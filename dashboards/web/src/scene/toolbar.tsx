import { useEffect, useState } from "preact/hooks";
import { call, type CameraType } from "../common/api";
import type { SceneData } from "../common/pageData";
import { refusalText } from "./ends";
import { IconButton, type IconName } from "./icons";
import { safeName } from "./names";
import { key, panel, say, tool, type Panel } from "./state";
import { toggleFullScreen, toggleMeasure, togglePanel } from "./shortcuts";
import type { Viewer } from "./viewer";

/** The buttons under the picture. */
export function Toolbar({
  viewer,
  scene,
  root,
}: {
  viewer: Viewer;
  scene: SceneData;
  root: () => HTMLElement | null;
}) {
  const [type, setType] = useState<CameraType>(viewer.cameraType);
  const [full, setFull] = useState(false);

  function choose(next: CameraType) {
    viewer.setCameraType(next);
    setType(next);
  }
  async function screenshot() {
    const url = URL.createObjectURL(await viewer.capture());
    const link = document.createElement("a");
    link.href = url;
    link.download = safeName(scene.title, "png");
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
  }
  async function save() {
    const camera_data = viewer.cameraData();
    try {
      await call(key.value!, `jobs/${scene.job_id}/`, { method: "PATCH", body: { camera_data } });
      viewer.setHome(camera_data);
      say("Saved. The scene opens with this view from now on.");
    } catch (error) {
      say(refusalText(error), true);
    }
  }

  useEffect(() => {
    const ending = new AbortController();
    const follow = () => setFull(document.fullscreenElement !== null);
    document.addEventListener("fullscreenchange", follow, { signal: ending.signal });
    return () => ending.abort();
  }, []);

  return (
    <div class="toolbar" role="toolbar" aria-label="Scene">
      <div class="pair" role="group" aria-label="Way to move">
        <IconButton
          icon="orbit"
          label="Orbit"
          pressed={type === "orbital"}
          onClick={() => choose("orbital")}
        />
        <IconButton icon="drone" label="Drone" pressed={type === "drone"} onClick={() => choose("drone")} />
      </div>
      <IconButton icon="reset" label="Reset the view" onClick={() => viewer.reset()} />
      {key.value !== null && <IconButton icon="save" label="Save this view" onClick={() => void save()} />}
      {scene.files.views && (
        <IconButton icon="compare" label="Compare with photos" onClick={() => (tool.value = "compare")} />
      )}
      <IconButton icon="measure" label="Measure" pressed={tool.value === "measure"} onClick={toggleMeasure} />
      <PanelButton name="look" icon="look" label="Background and exposure" />
      <IconButton icon="camera" label="Screenshot" onClick={() => void screenshot()} />
      <PanelButton name="share" icon="share" label="Share" />
      <PanelButton name="info" icon="info" label="About this scene" />
      <PanelButton name="help" icon="help" label="Help" />
      {document.fullscreenEnabled && (
        <IconButton icon="full" label="Full screen" pressed={full} onClick={() => toggleFullScreen(root())} />
      )}
    </div>
  );
}

function PanelButton({ name, icon, label }: { name: Panel; icon: IconName; label: string }) {
  return (
    <IconButton
      id={`open-${name}`}
      icon={icon}
      label={label}
      pressed={panel.value === name}
      onClick={() => togglePanel(name)}
    />
  );
}

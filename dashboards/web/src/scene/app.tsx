import { useEffect } from "preact/hooks";
import { Expired, Failed, Gone, Picture, Unavailable } from "./ends";
import { follow } from "./live";
import { Away, LivePage } from "./livePage";
import { away, end, learn, page, scene, webgl2 } from "./state";
import { Toast } from "./toast";
import { ViewerPage } from "./viewerPage";

export function App() {
  useEffect(() => {
    if (scene.value === null) return;
    return follow(scene.value, {
      scene: learn,
      end: (why) => (end.value = why),
      away: (now) => (away.value = now),
    });
  }, []);
  return (
    <>
      <Shown />
      <Away />
      <Toast />
    </>
  );
}

function Shown() {
  const now = scene.value;
  if (page.value === "expired") return <Expired />;
  if (page.value === "gone") return <Gone />;
  if (now === null || page.value === "unavailable") return <Unavailable />;
  if (page.value === "live") return <LivePage scene={now} />;
  if (page.value === "failed") return <Failed scene={now} />;
  if (page.value === "picture") return <Picture scene={now} webgl2={webgl2.value} />;
  return <ViewerPage key={now.finished_at} scene={now} />;
}

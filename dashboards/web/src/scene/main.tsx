import { render } from "preact";

render(<main>splatflow</main>, document.getElementById("root")!);
const viewer = () => import("./viewer");
export { viewer };

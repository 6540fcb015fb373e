import { render } from "preact";

render(<main>splatflow</main>, document.getElementById("root")!);

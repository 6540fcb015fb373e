import { render } from "preact";
import { App } from "./app";
import { expose } from "./handle";
import { told } from "./state";

document.documentElement.classList.toggle("embed", told.embed);
expose();
render(<App />, document.getElementById("root")!);

import { render } from "preact";
import { pageData, type JobsPageData } from "../common/pageData";
import { App } from "./App";
import { setLimits } from "./choose";
import { readAddress } from "./listing";
import { resume } from "./session";

setLimits(pageData<JobsPageData | null>());
readAddress();
resume();
render(<App />, document.getElementById("root")!);

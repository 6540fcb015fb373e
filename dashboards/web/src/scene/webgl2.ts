let known: boolean | null = null;

/** Whether the browser can draw scenes; asked before anything large is loaded. */
export function hasWebgl2(): boolean {
  if (known === null) {
    const context = document.createElement("canvas").getContext("webgl2");
    known = context !== null;
    context?.getExtension("WEBGL_lose_context")?.loseContext(); // browsers have few of them
  }
  return known;
}

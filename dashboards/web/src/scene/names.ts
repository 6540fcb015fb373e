/** A file name that every system takes, of any title. */
export function safeName(title: string, ending: string): string {
  const kept = title
    .normalize("NFC")
    .replace(/[^\p{L}\p{N}\p{M}._-]+/gu, "-")
    .replace(/-+/g, "-")
    .replace(/^[-._]+|[-._]+$/g, "");
  return `${[...kept].slice(0, 80).join("") || "scene"}.${ending}`;
}

/** An embed snippet for other pages. The address is ours; quoted all the same. */
export function embedSnippet(pageUrl: string, title: string): string {
  const url = new URL(pageUrl);
  url.searchParams.set("embed", "1");
  return `<iframe src="${quoted(url.href)}" title="${quoted(title)}" width="800" height="500" allow="fullscreen; gamepad" loading="lazy"></iframe>`;
}

function quoted(text: string): string {
  return text.replace(/[&"<>]/g, (c) => ({ "&": "&amp;", '"': "&quot;", "<": "&lt;", ">": "&gt;" })[c]!);
}

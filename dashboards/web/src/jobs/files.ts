/** Which files are worth uploading. Pure. */

import { bytes } from "../common/format";
import { titleComplaint } from "./options";

/** storage/naming.py has the same. */
export const EXTENSIONS = ["mp4", "mov", "m4v", "webm", "mkv", "avi", "zip"] as const;
export const ACCEPT = EXTENSIONS.map((extension) => `.${extension}`).join(",");
const SPOKEN = `${EXTENSIONS.slice(0, -1).join(", ")} or ${EXTENSIONS.at(-1)}`;
const LONGEST_TITLE = 255;

export interface Named {
  name: string;
  size: number;
}

/** The extension as the API takes it; null when it is none that the API takes. */
export function extensionOf(name: string): string | null {
  const ending = /\.([^.]+)$/.exec(name)?.[1]?.toLowerCase();
  return EXTENSIONS.find((extension) => extension === ending) ?? null;
}

/** Why a file can't be taken, as a sentence; null when it can. */
export function complaintAbout(file: Named, maxBytes: number): string | null {
  if (extensionOf(file.name) === null)
    return `“${shortName(file.name)}” is not a video: choose ${SPOKEN} (a zip of photos).`;
  if (file.size === 0) return `“${shortName(file.name)}” is empty.`;
  if (file.size > maxBytes) {
    return `“${shortName(file.name)}” has ${bytes(file.size)}; the service takes ${bytes(maxBytes)} at most.`;
  }
  return null;
}

/** A title made of a file's name; "Untitled" when the name can't be one. */
export function titleOf(name: string): string {
  const stem = name.normalize("NFC").replace(/\.[^.]+$/, "");
  const clean = [...stem.replace(/[\p{Cc}\p{Cs}\u202a-\u202e\u2066-\u2069]/gu, "")];
  const title = clean.slice(0, LONGEST_TITLE).join("").trim();
  return titleComplaint(title) === null ? title : "Untitled";
}

function shortName(name: string): string {
  return name.length <= 60 ? name : `${name.slice(0, 40)}…${name.slice(-16)}`;
}

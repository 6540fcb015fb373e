/** Files that the user has picked or dropped, before anything is sent. */

import { batch } from "@preact/signals";
import type { JobsPageData } from "../common/pageData";
import { complaintAbout, titleOf } from "./files";
import { chosen, fieldErrors, fileComplaints, fixing } from "./state";

let lastId = 0;
let maxBytes = Infinity;

export function setLimits(data: JobsPageData | null): void {
  if (data !== null) maxBytes = data.max_upload_bytes;
}

export function choose(files: Iterable<File>): void {
  const sorry: string[] = [];
  const taken = [...files].flatMap((file) => {
    const complaint = complaintAbout(file, maxBytes);
    if (complaint === null) return [{ id: ++lastId, file, title: titleOf(file.name) }];
    sorry.push(complaint);
    return [];
  });
  const { file: _, ...others } = fieldErrors.value;
  batch(() => {
    fileComplaints.value = sorry;
    fieldErrors.value = others;
    const kept = fixing.value === null ? chosen.value : [];
    if (taken.length > 0) {
      chosen.value = [...kept, ...taken];
      fixing.value = null;
    }
  });
}

export function unchoose(id: number): void {
  chosen.value = chosen.value.filter((one) => one.id !== id);
}

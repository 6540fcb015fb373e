/** The page's uploads: the queue, put to the service and the list. */

import { change, refreshAccount } from "./session";
import { poller } from "./listing";
import { put } from "./put";
import { account, announcement, fixing, form, chosen, fieldErrors } from "./state";
import { complaints, optionsOf, titleComplaint, type FieldName, type Options } from "./options";
import { Uploader, type Upload } from "./uploads";

const USUAL_URL_SECONDS = 7200;

export const uploader = new Uploader({
  call: change,
  put,
  online: () => navigator.onLine,
  nowMs: () => Date.now(),
  random: Math.random,
  uuid: () => newId(),
  urlSeconds: () => account.value?.limits.upload_url_seconds ?? USUAL_URL_SECONDS,
  onDone: (upload) => {
    announcement.value = `${upload.file.name}: uploaded, the job is queued.`;
    poller.now();
    void refreshAccount();
  },
});

/** `crypto.randomUUID` is only there on https and on this machine. */
function newId(): string {
  if (crypto.randomUUID !== undefined) return crypto.randomUUID();
  return [...crypto.getRandomValues(new Uint8Array(16))]
    .map((byte) => byte.toString(16).padStart(2, "0"))
    .join("");
}

/** Starts what the form asks for. Returns whether it did; if not, the reasons are in `fieldErrors`. */
export function start(): boolean {
  const errors: typeof fieldErrors.value = { ...complaints(form.value) };
  for (const { id, title } of chosen.value) {
    const complaint = titleComplaint(title.trim());
    if (complaint !== null) errors[`title-${id}`] = complaint;
  }
  if (chosen.value.length === 0) errors.file = "Choose a video first.";
  fieldErrors.value = errors;
  if (Object.keys(errors).length > 0) return false;
  for (const { file, title } of chosen.value) {
    const options = optionsOf(form.value, title.trim());
    if (fixing.value === null) uploader.add(file, options);
    else uploader.again(fixing.value, options);
  }
  fixing.value = null;
  chosen.value = [];
  return true;
}

/** Brings the options of a refused upload back into the form. */
export function fix(upload: Upload): void {
  const { options } = upload;
  fixing.value = upload.id;
  chosen.value = [{ id: 0, file: upload.file, title: String(options.title) }];
  form.value = { ...form.value, ...textsOf(options) };
  const field = upload.field === "title" ? "title-0" : (upload.field as FieldName | null);
  fieldErrors.value = field === null ? {} : { [field]: upload.note ?? undefined };
}

function textsOf(options: Options): Partial<typeof form.value> {
  const texts: Record<string, string | boolean> = {};
  for (const name of Object.keys(form.value)) {
    const value = options[name];
    if (value === undefined) texts[name] = typeof form.value[name as FieldName] === "boolean" ? false : "";
    else texts[name] = typeof value === "number" ? String(value) : value;
  }
  return texts as Partial<typeof form.value>;
}

/** What the browser has said is true again: what waits for it need not wait. */
export function followConnection(): () => void {
  const wake = () => uploader.wake();
  // The browser asks before it leaves the page; its own words, ours aren't shown.
  const ask = (event: BeforeUnloadEvent) => uploader.underWay && event.preventDefault();
  window.addEventListener("online", wake);
  window.addEventListener("beforeunload", ask);
  return () => {
    window.removeEventListener("online", wake);
    window.removeEventListener("beforeunload", ask);
  };
}

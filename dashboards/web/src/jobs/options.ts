/** What may be asked of a job: names, limits and sentences, as `submit-job/` has them. Pure. */

export type CameraChoice = "" | "orbital" | "drone";

/** What the form holds: texts as typed. Titles belong to the files. */
export interface Form {
  public: boolean;
  reconstruction_method: "glomap" | "colmap";
  training_num_steps: string;
  training_max_num_gaussians: string;
  max_frames: string;
  train_side_px: string;
  apriltag_size_mm: string;
  remove_background: boolean;
  mesh: boolean;
  turntable: boolean;
  camera_type: CameraChoice;
}

export type FieldName = keyof Form;
export type NumberName = (typeof WHOLE_NUMBERS)[number] | "apriltag_size_mm";

/** The body of a submit, without the blob's name. */
export type Options = Record<string, string | number | boolean>;

export const WHOLE_NUMBERS = [
  "training_num_steps",
  "training_max_num_gaussians",
  "max_frames",
  "train_side_px",
] as const;

export const LABELS: Record<NumberName, string> = {
  training_num_steps: "Training steps",
  training_max_num_gaussians: "Most Gaussians",
  max_frames: "Most frames",
  train_side_px: "Longer side in training, px",
  apriltag_size_mm: "AprilTag size, mm",
};

export const LIMITS: Record<NumberName, readonly [number, number]> = {
  training_num_steps: [100, 100_000],
  training_max_num_gaussians: [1_000, 5_000_000],
  max_frames: [3, 5_000],
  train_side_px: [32, 1_600],
  apriltag_size_mm: [1, 1_000],
};

/** What holds when a field is left empty. */
export const WHEN_EMPTY: Record<NumberName, string> = {
  training_num_steps: "25,000 when empty",
  training_max_num_gaussians: "1,000,000 when empty",
  max_frames: "empty: as suits the machine",
  train_side_px: "empty: as suits the machine",
  apriltag_size_mm: "empty: the scene keeps a unit of its own",
};

type Numbers = Pick<Form, (typeof WHOLE_NUMBERS)[number]>;

export interface Preset {
  name: string;
  label: string;
  help: string;
  numbers: Numbers;
}

/** Those of the command line; see tasks/presets.py. */
export const PRESETS: readonly Preset[] = [
  preset("quick", "Quick", "A first look: a few minutes on a CPU.", 1_000, 30_000, 80, 480),
  preset("standard", "Standard", "Suits machines without a GPU.", 3_000, 100_000, 150, 640),
  preset("full", "Full quality", "Made for a GPU; takes hours on a CPU.", 25_000, 1_000_000, 600, 1_600),
];
export const FIRST_PRESET = "standard";
export const CUSTOM = "custom";

function preset(
  name: string,
  label: string,
  help: string,
  steps: number,
  gaussians: number,
  frames: number,
  side: number,
): Preset {
  const numbers = {
    training_num_steps: String(steps),
    training_max_num_gaussians: String(gaussians),
    max_frames: String(frames),
    train_side_px: String(side),
  };
  return { name, label, help, numbers };
}

export function emptyForm(): Form {
  return {
    public: false,
    reconstruction_method: "glomap",
    ...numbersOf(FIRST_PRESET),
    apriltag_size_mm: "",
    remove_background: false,
    mesh: false,
    turntable: false,
    camera_type: "",
  };
}

export function numbersOf(name: string): Numbers {
  const found = PRESETS.find((preset) => preset.name === name);
  if (found === undefined) throw new Error(`no preset ${name}`);
  return found.numbers;
}

/** Which preset the numbers are those of; "custom" when of none. */
export function presetOf(form: Form): string {
  const same = (preset: Preset) =>
    WHOLE_NUMBERS.every((name) => wholeNumber(form[name]) === Number(preset.numbers[name]));
  return PRESETS.find(same)?.name ?? CUSTOM;
}

/** The number that a text means, thousands separated or not; null when it means none. */
export function wholeNumber(text: string): number | null {
  const trimmed = text.trim();
  if (/^\d{1,15}$/.test(trimmed)) return Number(trimmed);
  return /^\d{1,3}([,. _'\u00a0\u202f]\d{3})+$/.test(trimmed) ? Number(trimmed.replace(/\D/g, "")) : null;
}

function decimal(text: string): number | null {
  const trimmed = text.trim().replace(",", ".");
  return /^\d{1,9}(\.\d{0,9})?$/.test(trimmed) ? Number(trimmed) : null;
}

/** A sentence for each field that can't be sent as it is. */
export function complaints(form: Form): Partial<Record<FieldName, string>> {
  const found: Partial<Record<FieldName, string>> = {};
  for (const name of WHOLE_NUMBERS) {
    const [least, most] = LIMITS[name];
    const value = wholeNumber(form[name]);
    if (form[name].trim() !== "" && (value === null || value < least || value > most)) {
      found[name] = `${LABELS[name]} must be a whole number from ${grouped(least)} to ${grouped(most)}.`;
    }
  }
  const size = decimal(form.apriltag_size_mm);
  if (form.apriltag_size_mm.trim() !== "" && (size === null || size < 1 || size > 1000)) {
    found.apriltag_size_mm = "AprilTag size must be between 1mm and 1000mm.";
  }
  return found;
}

/** Why a text can't be a title; null when it can. The service has the same rules (api/text.py). */
export function titleComplaint(text: string): string | null {
  const characters = [...text.normalize("NFC")];
  if (characters.length < 1 || characters.length > 255) return "title must have 1 to 255 characters.";
  if (/\p{Cc}/u.test(text)) return "title must not hold control characters.";
  if (/\p{Cs}/u.test(text)) return "title must not hold lone surrogates.";
  if (/[\u202a-\u202e\u2066-\u2069]/u.test(text)) return "title must not hold bidirectional overrides.";
  return null;
}

/** The body of the submit of one file. The form must be without complaints. */
export function optionsOf(form: Form, title: string): Options {
  const options: Options = {
    title,
    public: form.public,
    reconstruction_method: form.reconstruction_method,
    remove_background: form.remove_background,
  };
  for (const name of WHOLE_NUMBERS) {
    const value = wholeNumber(form[name]);
    if (value !== null) options[name] = value;
  }
  const size = decimal(form.apriltag_size_mm);
  if (size !== null) options.apriltag_size_mm = size;
  if (form.mesh) options.mesh = true;
  if (form.turntable) options.turntable = true;
  if (form.camera_type !== "") options.camera_type = form.camera_type;
  return options;
}

function grouped(value: number): string {
  return value.toLocaleString("en");
}

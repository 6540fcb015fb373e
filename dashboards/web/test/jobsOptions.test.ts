import { describe, expect, it } from "vitest";
import {
  complaints,
  CUSTOM,
  emptyForm,
  LIMITS,
  numbersOf,
  optionsOf,
  presetOf,
  PRESETS,
  titleComplaint,
  wholeNumber,
  WHOLE_NUMBERS,
  type Form,
} from "../src/jobs/options";

const form = (values: Partial<Form>): Form => ({ ...emptyForm(), ...values });

describe("numbers", () => {
  it.each([
    ["3000", 3000],
    [" 25,000 ", 25000],
    ["1 000 000", 1_000_000],
    ["1\u202f000", 1000],
    ["1_000", 1000],
    ["0", 0],
    ["", null],
    ["1,00", null],
    ["-5", null],
    ["1e5", null],
    ["12.5", null],
    ["Infinity", null],
    ["9".repeat(16), null],
  ])("reads %j as %j", (text, value) => expect(wholeNumber(text)).toBe(value));

  it("takes each limit itself and nothing beyond", () => {
    for (const name of WHOLE_NUMBERS) {
      const [least, most] = LIMITS[name];
      for (const good of [least, most]) expect(complaints(form({ [name]: String(good) }))).toEqual({});
      for (const bad of [least - 1, most + 1, "x", "1.5"]) {
        expect(Object.keys(complaints(form({ [name]: String(bad) })))).toEqual([name]);
      }
    }
  });

  it("speaks of tags as the service does", () => {
    for (const good of ["1", "1000", "95.6", "95,6", ""]) {
      expect(complaints(form({ apriltag_size_mm: good }))).toEqual({});
    }
    for (const bad of ["0.5", "1001", "NaN", "-3", "1e2"]) {
      const sentence = complaints(form({ apriltag_size_mm: bad })).apriltag_size_mm;
      expect(sentence).toBe("AprilTag size must be between 1mm and 1000mm.");
    }
  });
});

describe("titles", () => {
  it("has the service's rules", () => {
    expect(titleComplaint("a")).toBeNull();
    expect(titleComplaint("😀".repeat(255))).toBeNull();
    expect(titleComplaint("e\u0301".repeat(255))).toBeNull(); // 255 characters in NFC
    expect(titleComplaint("\u200f\u200e")).toBeNull(); // plain marks are needed
    expect(titleComplaint("")).toMatch(/255/);
    expect(titleComplaint("x".repeat(256))).toMatch(/255/);
    expect(titleComplaint("a\nb")).toMatch(/control/);
    expect(titleComplaint("\u009f")).toMatch(/control/);
    expect(titleComplaint("\ud800")).toMatch(/surrogates/);
    expect(titleComplaint("\u202e")).toMatch(/bidirectional/);
  });
});

describe("presets", () => {
  it("fill the numbers, and are told by them", () => {
    for (const { name } of PRESETS) expect(presetOf(form(numbersOf(name)))).toBe(name);
    expect(presetOf(form({ ...numbersOf("full"), training_num_steps: "25,000" }))).toBe("full");
    expect(presetOf(form({ max_frames: "" }))).toBe(CUSTOM);
  });

  it("are within the limits", () => {
    for (const { name } of PRESETS) expect(complaints(form(numbersOf(name)))).toEqual({});
  });
});

describe("the body", () => {
  it("leaves out what is empty", () => {
    const none = {
      training_num_steps: "",
      training_max_num_gaussians: " ",
      max_frames: "",
      train_side_px: "",
    };
    expect(optionsOf(form(none), "t")).toEqual({
      title: "t",
      public: false,
      reconstruction_method: "glomap",
      remove_background: false,
    });
  });

  it("has numbers for numbers and every documented name", () => {
    const all = form({
      public: true,
      reconstruction_method: "colmap",
      training_num_steps: "25,000",
      training_max_num_gaussians: "1000",
      max_frames: "3",
      train_side_px: "1600",
      apriltag_size_mm: "95,6",
      remove_background: true,
      mesh: true,
      turntable: true,
      camera_type: "orbital",
    });
    expect(optionsOf(all, "t")).toEqual({
      title: "t",
      public: true,
      reconstruction_method: "colmap",
      training_num_steps: 25000,
      training_max_num_gaussians: 1000,
      max_frames: 3,
      train_side_px: 1600,
      apriltag_size_mm: 95.6,
      remove_background: true,
      mesh: true,
      turntable: true,
      camera_type: "orbital",
    });
  });
});

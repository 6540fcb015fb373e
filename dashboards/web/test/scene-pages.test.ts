import { describe, expect, it } from "vitest";
import type { SceneData } from "../src/common/pageData";
import { pageKind, shownSteps } from "../src/scene/pageState";

const SPZ = { url: "/objects/a", bytes: 1 };
const data = (values: Partial<SceneData>) =>
  ({ state: "viewable", files: { spz: SPZ }, ...values }) as SceneData;

describe("which page", () => {
  it("follows the scene's state", () => {
    expect(pageKind("viewable", data({}), null, true)).toBe("viewer");
    expect(pageKind("viewable", data({ files: { ply: SPZ } }), null, true)).toBe("viewer");
    expect(pageKind("waiting", data({ state: "waiting", files: {} }), null, true)).toBe("live");
    expect(pageKind("failed", data({ state: "failed", files: {} }), null, true)).toBe("failed");
  });

  it("turns with the newest data, whatever was written into the page", () => {
    expect(pageKind("waiting", data({}), null, true)).toBe("viewer");
    expect(pageKind("viewable", data({ state: "waiting", files: {} }), null, true)).toBe("live");
    expect(pageKind("failed", data({ state: "waiting", files: {} }), null, true)).toBe("live");
  });

  it("shows pictures where scenes can't be drawn", () => {
    expect(pageKind("viewable", data({}), null, false)).toBe("picture");
    expect(pageKind("viewable", data({ files: {} }), null, true)).toBe("picture");
    expect(pageKind("waiting", data({ state: "waiting" }), null, false)).toBe("live");
  });

  it("ends, whatever was shown", () => {
    expect(pageKind("viewable", data({}), "gone", true)).toBe("gone");
    expect(pageKind("waiting", data({ state: "waiting" }), "expired", true)).toBe("expired");
    expect(pageKind("unavailable", null, null, true)).toBe("unavailable");
    expect(pageKind("expired", null, null, true)).toBe("expired");
  });
});

describe("steps", () => {
  const told = (current: string | null, seen: string[] = []) =>
    shownSteps(current, new Set(seen)).map(({ step, state }) => `${step} ${state}`);

  it("are in order, with the current one", () => {
    expect(told("train")).toEqual(["extract done", "sfm done", "train current", "export ahead"]);
    expect(told(null)).toEqual(["extract ahead", "sfm ahead", "train ahead", "export ahead"]);
  });

  it("list the optional ones when they run, and go on listing them", () => {
    expect(told("mask")).toEqual([
      "extract done",
      "mask current",
      "sfm ahead",
      "train ahead",
      "export ahead",
    ]);
    expect(told("train", ["mask", "sfm"])).toContain("mask done");
  });

  it("stand a step that they don't know", () => {
    expect(told("polish")).toHaveLength(4);
  });
});

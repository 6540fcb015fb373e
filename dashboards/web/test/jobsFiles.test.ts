import { describe, expect, it } from "vitest";
import { complaintAbout, extensionOf, titleOf } from "../src/jobs/files";
import { titleComplaint } from "../src/jobs/options";

describe("files", () => {
  it.each([
    ["a.mp4", "mp4"],
    ["a.b.MOV", "mov"],
    ["photos.ZIP", "zip"],
    ["a.mp4.exe", null],
    ["mp4", null],
    ["a.", null],
    ["", null],
  ])("%j has the extension %j", (name, extension) => expect(extensionOf(name)).toBe(extension));

  it("are taken up to the limit and no further", () => {
    expect(complaintAbout({ name: "a.mp4", size: 1000 }, 1000)).toBeNull();
    expect(complaintAbout({ name: "a.mp4", size: 1001 }, 1000)).toMatch(/1\.0 kB at most/);
    expect(complaintAbout({ name: "a.mp4", size: 0 }, 1000)).toMatch(/empty/);
    expect(complaintAbout({ name: "a.txt", size: 5 }, 1000)).toMatch(/not a video/);
    expect(complaintAbout({ name: `${"x".repeat(300)}.txt`, size: 5 }, 1000)!.length).toBeLessThan(200);
  });

  it("give titles that the service takes, whatever they are called", () => {
    expect(titleOf("My room.final.mp4")).toBe("My room.final");
    expect(titleOf("Cafe\u0301.mov")).toBe("Caf\u00e9");
    expect(titleOf("\u202egnp.mp4")).toBe("gnp");
    expect(titleOf(".mp4")).toBe("Untitled");
    for (const name of [
      "a\u0000b.mp4",
      `${"😀".repeat(300)}.mp4`,
      "\ud800.mp4",
      "   .mp4",
      "\u2066\u2069.zip",
    ]) {
      expect(titleComplaint(titleOf(name))).toBeNull();
    }
  });
});

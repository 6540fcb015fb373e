import { gzipSync, strToU8, zipSync } from "fflate";
import { describe, expect, it } from "vitest";
import { rotated } from "../src/scene/camera";
import { wishOfPad } from "../src/scene/gamepad";
import { BadViews, poseOfView, readViews } from "../src/scene/heldout";
import { isNothing, wishOf } from "../src/scene/keys";
import { measured, metres, scaleText } from "../src/scene/length";
import { embedSnippet, safeName } from "../src/scene/names";
import { depthAlong, type EachSplat } from "../src/scene/pick";
import { isAntialiased } from "../src/scene/spzHeader";

describe("lengths", () => {
  it("have the unit that fits", () => {
    expect([0.0042, 0.00999, 0.375, 0.99949, 0.9999, 1.8351, 99.949, 120.4].map(metres)).toEqual([
      "4.2 mm",
      "1.0 cm",
      "37.5 cm",
      "99.9 cm",
      "1.00 m",
      "1.84 m",
      "99.95 m",
      "120 m",
    ]);
  });

  it("claim metres for metric scenes alone", () => {
    expect(measured(0.5, true)).toBe("50.0 cm");
    expect(measured(0.51234, false)).toBe("0.512 units");
    expect(scaleText(false, 0.01)).toMatch(/not to scale/);
    expect(scaleText(true, 0.0022)).toBe("metres (±0.2 %)");
    expect(scaleText(true, 0.00042)).toBe("metres (±0.04 %)");
    expect(scaleText(true, null)).toBe("metres");
  });
});

const MATRIX = [
  [0, 0, 1, 5],
  [0, 1, 0, 6],
  [-1, 0, 0, 7],
  [0, 0, 0, 1],
];
const VIEW = {
  name: "0008.jpg",
  file: "00.jpg",
  width: 4,
  height: 3,
  fx: 3,
  fy: 3,
  cx: 2.1,
  cy: 1.4,
  world_from_camera: MATRIX,
};

function archive(
  told: unknown,
  files: Record<string, Uint8Array> = { "00.jpg": strToU8("photo") },
): Uint8Array {
  return zipSync({ ...files, "views.json": strToU8(JSON.stringify(told)) }, { level: 0 });
}

describe("views.zip", () => {
  it("is read: names, photos, cameras", () => {
    const [view] = readViews(archive({ version: 1, frame: "RUB", views: [VIEW] }));
    expect(view).toMatchObject({ name: "0008.jpg", width: 4, height: 3, fx: 3, cx: 2.1, cy: 1.4 });
    expect(new TextDecoder().decode(view!.photo)).toBe("photo");
    const pose = poseOfView(view!, 2);
    expect(pose.position).toEqual({ x: 5, y: 6, z: 7 });
    const right = rotated(pose.orientation, { x: 1, y: 0, z: 0 });
    expect([right.x, right.y, right.z].map((c) => c.toFixed(9))).toEqual([
      "0.000000000",
      "0.000000000",
      "-1.000000000",
    ]);
  });

  it.each([
    ["no archive", strToU8("hello")],
    ["another version", archive({ version: 2, frame: "RUB", views: [] })],
    ["another frame", archive({ version: 1, frame: "RDF", views: [] })],
    ["a missing photo", archive({ version: 1, frame: "RUB", views: [VIEW] }, {})],
    ["a number that is none", archive({ version: 1, frame: "RUB", views: [{ ...VIEW, fx: "3" }] })],
    [
      "half a matrix",
      archive({ version: 1, frame: "RUB", views: [{ ...VIEW, world_from_camera: MATRIX.slice(2) }] }),
    ],
    ["no views.json", zipSync({ a: strToU8("b") })],
  ])("is refused: %s", (_what, content) => {
    expect(() => readViews(content)).toThrow(BadViews);
  });
});

describe("an SPZ file", () => {
  const file = (flags: number) => {
    const content = new Uint8Array(5000).map((_, i) => (i * 97) % 251);
    content.set([0x4e, 0x47, 0x53, 0x50, 3, 0, 0, 0, 9, 0, 0, 0, 3, 12, flags, 0]);
    return gzipSync(content);
  };

  it("says how its scene was trained", () => {
    expect([0, 1, 2, 3].map((flags) => isAntialiased(file(flags)))).toEqual([false, true, false, true]);
  });

  it("may be none", () => {
    for (const other of [
      strToU8("ply"),
      new Uint8Array(0),
      gzipSync(strToU8("short")),
      file(1).subarray(0, 20),
    ])
      expect(isAntialiased(other)).toBe(false);
  });
});

describe("picking", () => {
  const ORIGIN = { x: 0, y: 0, z: 0 };
  const AHEAD = { x: 0, y: 0, z: -1 };
  const PLAIN = [0, 0, 0, 1] as const;
  type Splat = Parameters<Parameters<EachSplat>[0]>;
  const of =
    (...splats: Splat[]): EachSplat =>
    (visit) =>
      splats.forEach((splat) => visit(...splat));
  const ball = (z: number, opacity: number, x = 0, size = 0.1): Splat => [
    { x, y: 0, z },
    { x: size, y: size, z: size },
    PLAIN,
    opacity,
  ];

  it("finds the depth of the first solid thing, through haze", () => {
    expect(depthAlong(of(ball(-5, 0.99), ball(-1, 0.1), ball(-3, 0.95)), ORIGIN, AHEAD, 0.01, 0)).toBeCloseTo(
      3,
      9,
    );
  });

  it("finds nothing where nothing solid is: beside, behind, haze alone", () => {
    expect(depthAlong(of(ball(-3, 0.9, 1), ball(2, 0.9), ball(-2, 0.2)), ORIGIN, AHEAD, 0.01, 0)).toBeNull();
  });

  it("meets a turned disc where its plane is", () => {
    // 45 degrees about y, flat along its own z: the plane x = -(z + 3) through (0, 0, -3).
    const turn = [0, Math.sin(Math.PI / 8), 0, Math.cos(Math.PI / 8)] as const;
    const disc: Splat = [{ x: 0, y: 0, z: -3 }, { x: 1, y: 1, z: 1e-4 }, turn, 0.99];
    const depth = depthAlong(of(disc), { x: 0.3, y: 0, z: 0 }, AHEAD, 0.01, 0);
    expect(depth).toBeCloseTo(3.3, 3);
  });
});

describe("keys and sticks", () => {
  it("add up and cancel out", () => {
    expect(wishOf(new Set(["KeyW", "KeyD", "ShiftLeft"]))).toEqual({
      move: [1, 0, 1],
      turn: [0, 0],
      fast: true,
    });
    expect(isNothing(wishOf(new Set(["KeyW", "KeyS", "ArrowLeft", "ArrowRight"])))).toBe(true);
  });

  it("rest in the middle, and reach the end", () => {
    const buttons = Array.from({ length: 8 }, () => ({ value: 0, pressed: false }));
    expect(isNothing(wishOfPad([0.1, -0.1, 0.05, 0.11], buttons))).toBe(true);
    expect(wishOfPad([1, -1, -1, 1], buttons)).toMatchObject({ move: [1, 0, 1], turn: [-1, -1] });
    expect(isNothing(wishOfPad([], []))).toBe(true);
  });
});

describe("names", () => {
  it("of files are safe, of any title", () => {
    expect(safeName("Fox / ../<b>statue</b>", "png")).toBe("Fox-..-b-statue-b.png");
    expect(safeName("../../etc/passwd", "png")).toBe("etc-passwd.png");
    expect(safeName("Füchse 狐", "png")).toBe("Füchse-狐.png");
    expect(safeName("🦊", "png")).toBe("scene.png");
    expect(safeName("a".repeat(500), "png")).toHaveLength(84);
  });

  it("of scenes can't end the snippet's attribute", () => {
    const snippet = embedSnippet("https://host/scenes/1?expires=5&signature=a", '"><script>');
    expect(snippet).toContain('src="https://host/scenes/1?expires=5&amp;signature=a&amp;embed=1"');
    expect(snippet).not.toContain("<script>");
  });
});

import { afterEach, describe, expect, it, vi } from "vitest";
import type { SceneData } from "../src/common/pageData";
import { FileError, SceneFiles } from "../src/scene/files";

const scene = (signature: string, seconds = 900) =>
  ({
    files: { spz: { url: `https://store/scene?signature=${signature}`, bytes: 6 } },
    files_expire_seconds: seconds,
    data_url: "/scenes/1/data",
  }) as SceneData;

/** A service and a store: `answers` by the part of the URL that they are for, in the order of the requests. */
function serve(answers: [string, () => Response][]): string[] {
  const asked: string[] = [];
  vi.stubGlobal("fetch", async (url: string) => {
    asked.push(url);
    const [part, answer] = answers.shift()!;
    expect(url).toContain(part);
    return answer();
  });
  return asked;
}

const content = () => new Response("splats", { headers: { "Content-Length": "6" } });
const nothing = () => {};
const never = new AbortController().signal;

afterEach(() => vi.unstubAllGlobals());

describe("a scene's files", () => {
  it("come with their progress in bytes", async () => {
    serve([["signature=a", content]]);
    const told: number[][] = [];
    const got = await new SceneFiles(scene("a")).bytes("spz", (...values) => told.push(values), never);
    expect(new TextDecoder().decode(got)).toBe("splats");
    expect(told[0]).toEqual([0, 6]);
    expect(told.at(-1)).toEqual([6, 6]);
  });

  it("are asked for anew once when the store refuses", async () => {
    const asked = serve([
      ["signature=a", () => new Response("expired", { status: 403 })],
      ["/data", () => Response.json(scene("b"))],
      ["signature=b", content],
    ]);
    await new SceneFiles(scene("a")).bytes("spz", nothing, never);
    expect(asked).toHaveLength(3);
  });

  it("are given up when the store refuses twice", async () => {
    serve([
      ["signature=a", () => new Response("no", { status: 403 })],
      ["/data", () => Response.json(scene("b"))],
      ["signature=b", () => new Response("no", { status: 403 })],
    ]);
    await expect(new SceneFiles(scene("a")).bytes("spz", nothing, never)).rejects.toThrow(FileError);
  });

  it("are not asked for with a signature that has ended", async () => {
    serve([
      ["/data", () => Response.json(scene("b"))],
      ["signature=b", content],
    ]);
    await new SceneFiles(scene("a", 10)).bytes("spz", nothing, never);
  });

  it("are whole or an error", async () => {
    serve([["signature=a", () => new Response("spl", { headers: { "Content-Length": "6" } })]]);
    await expect(new SceneFiles(scene("a")).bytes("spz", nothing, never)).rejects.toThrow("broke");
    vi.stubGlobal("fetch", () => Promise.reject(new TypeError("Failed to fetch")));
    await expect(new SceneFiles(scene("a")).bytes("spz", nothing, never)).rejects.toThrow(FileError);
  });

  it("may be longer than the service said", async () => {
    serve([["signature=a", () => new Response("splats and more")]]);
    const got = await new SceneFiles(scene("a")).bytes("spz", nothing, never);
    expect(got).toHaveLength(15);
  });
});

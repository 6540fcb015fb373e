import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { defineConfig, type Plugin } from "vite";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** Writes `name.gz` beside every text of the bundle, so that the service need not compress at each request. */
function gzipped(): Plugin {
  return {
    name: "gzipped",
    apply: "build",
    closeBundle() {
      const folder = here("dist/assets");
      for (const name of readdirSync(folder)) {
        if (!/\.(js|css|svg|json)$/.test(name)) continue;
        const content = readFileSync(join(folder, name));
        const packed = gzipSync(content, { level: 9 });
        if (packed.length < 0.95 * content.length) writeFileSync(join(folder, `${name}.gz`), packed);
      }
    },
  };
}

export default defineConfig({
  base: "/",
  plugins: [gzipped()],
  build: {
    target: "es2022",
    // The policy of the pages admits no data: scripts and styles.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 4000,
    rollupOptions: { input: { index: here("index.html"), scene: here("scene.html") } },
  },
  test: { include: ["test/**/*.test.ts", "test/**/*.test.tsx"] },
} as Parameters<typeof defineConfig>[0]);

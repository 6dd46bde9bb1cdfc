import { svelte } from "@sveltejs/vite-plugin-svelte";
import { readFile, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { brotliCompress, constants, gzip } from "node:zlib";
import { defineConfig, type Plugin } from "vite";

const TEXT = /\.(js|css|html|svg|json|webmanifest)$/;

/** Writes each text beside itself in the two forms that browsers take, where that is shorter. */
function packed(): Plugin {
  let folder = "";
  return {
    name: "packed",
    apply: "build",
    configResolved(config) {
      folder = join(config.root, config.build.outDir);
      if (config.build.outDir.startsWith("/")) folder = config.build.outDir;
    },
    async closeBundle() {
      const files = await readdir(folder, { recursive: true, withFileTypes: true });
      const texts = files.filter((file) => file.isFile() && TEXT.test(file.name));
      await Promise.all(texts.map(async (file) => {
        const path = join(file.parentPath, file.name);
        const bytes = await readFile(path);
        const brotli = await promisify(brotliCompress)(bytes, {
          params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length },
        });
        const gzipped = await promisify(gzip)(bytes, { level: 9 });
        if (brotli.length < bytes.length) await writeFile(`${path}.br`, brotli);
        if (gzipped.length < bytes.length) await writeFile(`${path}.gz`, gzipped);
      }));
    },
  };
}

export default defineConfig({
  root: "web",
  publicDir: "public",
  plugins: [svelte({ configFile: "../svelte.config.js" }), packed()],
  worker: { format: "es" },
  build: {
    outDir: "../dist",
    emptyOutDir: true,
    target: ["chrome120", "firefox121", "safari17.4"],
    // Nothing is written into the page: it allows itself no script and no style of its own.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    cssCodeSplit: true,
    reportCompressedSize: false,
  },
  test: { root: ".", include: ["web/**/*.test.ts"], environment: "node" },
} as import("vite").UserConfig);

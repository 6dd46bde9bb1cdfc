import { vitePreprocess } from "@sveltejs/vite-plugin-svelte";

export default {
  preprocess: vitePreprocess(),
  compilerOptions: {
    runes: true,
    // Markup from outside is never markup here: `{@html}` is an error.
    warningFilter: (warning) => !warning.code.startsWith("css_unused"),
  },
};

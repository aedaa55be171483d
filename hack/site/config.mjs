// The configuration of VitePress. build.mjs copies it beside the pages.
import { readFileSync } from "node:fs";
import path from "node:path";
import { defineConfig } from "vitepress";
import { anchor, asOnGitHub } from "../../markdown.mjs";
import { menuOf } from "../../pages.mjs";

const repository = process.env.SITE_REPOSITORY;
const slugs = { slugify: anchor };

export default defineConfig({
  title: "Refresh Keys",
  description: "A Kubernetes operator for JWT refresh tokens, with an OAuth 2.0 token service",
  lang: "en",
  base: process.env.SITE_BASE,
  outDir: process.env.SITE_OUTPUT,
  cacheDir: "../cache",
  rewrites: { "README.md": "index.md", "docs/README.md": "docs/index.md" },
  markdown: { anchor: slugs, headers: slugs, toc: slugs, config: asOnGitHub(repository) },
  vite: { build: { chunkSizeWarningLimit: 4096 }, publicDir: false },
  themeConfig: {
    nav: [
      { text: "Start", link: "/docs/start" },
      { text: "Guides", link: "/docs/" },
      { text: "API", link: "/docs/api" },
    ],
    sidebar: menuOf(readFileSync(path.join(repository, "docs/README.md"), "utf8")),
    outline: [2, 3],
    search: { provider: "local" },
    externalLinkIcon: true,
  },
});

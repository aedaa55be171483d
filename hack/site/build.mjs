// Builds the site: copies the pages unchanged beside the configuration, adds the lists of folders, and runs VitePress, which fails on a
// link to a page that does not exist.
import { cpSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { build } from "vitepress";
import { listOf, lists, pagesOf } from "./pages.mjs";

const repository = process.env.SITE_REPOSITORY;
const staged = path.join(import.meta.dirname, "src");
const started = Date.now();

rmSync(staged, { recursive: true, force: true });
rmSync(process.env.SITE_OUTPUT, { recursive: true, force: true });
for (const page of pagesOf(repository)) cpSync(path.join(repository, page), path.join(staged, page));
cpSync(path.join(repository, "docs"), path.join(staged, "docs"), { recursive: true });
for (const [folder, title] of Object.entries(lists)) writeFileSync(path.join(staged, folder, "index.md"), listOf(repository, folder, title));
mkdirSync(path.join(staged, ".vitepress"));
cpSync(path.join(import.meta.dirname, "config.mjs"), path.join(staged, ".vitepress/config.mjs"));
cpSync(path.join(import.meta.dirname, "theme"), path.join(staged, ".vitepress/theme"), { recursive: true });

await build(staged);
console.log(`docs-site: ${pagesOf(repository).length} pages are in ${path.relative(repository, process.env.SITE_OUTPUT)}, after ${Math.round((Date.now() - started) / 1000)} s`);

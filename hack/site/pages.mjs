// What the site is made of: which files are pages, and how its menu is made from the table of docs/README.md.
import { existsSync, readFileSync, readdirSync } from "node:fs";
import path from "node:path";

/** Where the files are read that a page links to and that are no pages. */
export const source = "https://github.com/refreshkeys/refreshkeys/blob/main/";

/** Returns the paths of all pages, from the root of the repository. */
export function pagesOf(repository) {
  const below = (folder) => readdirSync(path.join(repository, folder)).filter((name) => name.endsWith(".md")).map((name) => path.posix.join(folder, name));
  const folders = ["", "docs"];
  for (const entry of readdirSync(path.join(repository, "docs"), { withFileTypes: true })) {
    if (entry.isDirectory()) folders.push("docs/" + entry.name);
  }
  return folders.flatMap(below).sort();
}

/** Returns the title of a page: its first heading. */
export function titleOf(text) {
  return /^# (.*)$/m.exec(text)?.[1] ?? "";
}

/** Returns the text of the list of a folder without a README.md, such as docs/adr, whose pages link to it as a folder. */
export function listOf(repository, folder, title) {
  const rows = pagesOf(repository).filter((page) => path.posix.dirname(page) === folder)
    .map((page) => `- [${titleOf(readFileSync(path.join(repository, page), "utf8"))}](${path.posix.basename(page)})`);
  return `# ${title}\n\n${rows.join("\n")}\n`;
}

/** Returns the folders of docs whose list the site makes, with the title of each. */
export const lists = { "docs/adr": "Decisions" };

/** Returns the menu: a group for each row of the table in docs/README.md, and an entry for each link. */
export function menuOf(text) {
  const groups = [{ text: "Refresh Keys", link: "/", items: [] }];
  for (const row of text.split("\n").filter((line) => line.startsWith("| ") && !line.startsWith("| ---") && line.includes("]("))) {
    const [, name, cell] = row.split("|");
    const items = [...cell.matchAll(/\[([^\]]+)\]\(([^)]+)\)/g)].map(([, label, to]) => ({ text: upper(label), link: address(to) }));
    groups.push({ text: upper(name.trim()), items, collapsed: true });
  }
  return groups;
}

const upper = (text) => text[0].toUpperCase() + text.slice(1);

function address(to) {
  const target = path.posix.join("docs", to);
  return "/" + (lists[target] ? target + "/" : target.replace(/README\.md$/, "").replace(/\.md$/, ""));
}

/** Returns where a relative link of a page leads on the site. It throws if the link leads nowhere. */
export function resolve(repository, page, href) {
  const [to, section] = href.split("#");
  if (to === "") return href;
  const target = path.posix.normalize(path.posix.join(path.posix.dirname(page), decodeURIComponent(to))).replace(/\/$/, "");
  if (!existsSync(path.join(repository, target))) throw new Error(`${page} links to ${href}, which does not exist`);
  const anchor = section ? "#" + section : "";
  if (lists[target]) return path.posix.relative(path.posix.dirname(page), target + "/index.md") + anchor;
  if (pagesOf(repository).includes(target)) return to.replace(/README\.md$/, "index.md") + anchor;
  return source + target + anchor;
}

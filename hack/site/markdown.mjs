// How the site reads pages that are written for GitHub: its anchors, its links to files and folders, and its drawings.
import { resolve } from "./pages.mjs";

/** Returns the anchor of a heading, as GitHub makes it. */
export function anchor(heading) {
  return heading.trim().toLowerCase().replace(/[^\p{L}\p{N}_ -]/gu, "").replaceAll(" ", "-");
}

// Other tags are text of a page that forgot its backquotes.
const known = /^<(!--|\/?(a|b|br|code|details|i|img|kbd|p|picture|source|sub|summary|sup)\b)/;

/** Makes links and drawings of GitHub work in a markdown-it. */
export function asOnGitHub(repository) {
  return (md) => {
    md.core.ruler.push("relative-links", ({ tokens, env }) => {
      for (const token of tokens.flatMap((block) => block.children ?? [])) {
        const href = token.type === "link_open" ? token.attrGet("href") : null;
        if (href && !/^[a-z]+:/i.test(href)) token.attrSet("href", resolve(repository, origin(env.relativePath), href));
      }
    });
    const inline = md.renderer.rules.html_inline;
    md.renderer.rules.html_inline = (tokens, index, ...rest) =>
      known.test(tokens[index].content) ? inline(tokens, index, ...rest) : md.utils.escapeHtml(tokens[index].content);
    // Two braces are text of a page, and no expression of Vue.
    const text = md.renderer.rules.text;
    md.renderer.rules.text = (...all) => text(...all).replaceAll("{{", "&#123;&#123;");
    md.renderer.rules.code_inline = (tokens, index) => `<code v-pre>${md.utils.escapeHtml(tokens[index].content)}</code>`;
    const fence = md.renderer.rules.fence;
    md.renderer.rules.fence = (tokens, index, options, env, self) => {
      const token = tokens[index];
      if (token.info.trim() !== "mermaid") return fence(tokens, index, options, env, self);
      // Without a script, the drawing stays what its source says.
      return `<Drawing source="${encodeURIComponent(token.content)}"><pre class="drawing-source" v-pre>${md.utils.escapeHtml(token.content)}</pre></Drawing>\n`;
    };
  };
}

/** Returns the path of a page in the repository from its path on the site. */
function origin(page) {
  return page.replace(/(^|\/)index\.md$/, "$1README.md");
}

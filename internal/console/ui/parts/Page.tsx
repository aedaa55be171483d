// The head of a page: breadcrumb, heading, actions. The heading takes the focus when the page opens.
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { visits } from "../app/router";
import { t } from "../text";

export interface Crumb {
  text: string;
  href?: string;
}

export interface PageProps {
  title: string;
  crumbs: Crumb[];
  /** What follows the title: a chip, a count. */
  beside?: ComponentChildren;
  actions?: ComponentChildren;
  /** Below the title. */
  lead?: ComponentChildren;
  children: ComponentChildren;
}

export function Page({ title, crumbs, beside, actions, lead, children }: PageProps) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    document.title = t.title(title);
  }, [title]);
  useEffect(() => {
    // The first page leaves the focus at the start of the document.
    if (visits.peek() > 0) heading.current?.focus({ preventScroll: true });
  }, []);
  return (
    <>
      <nav class="crumbs" aria-label={t.nav.breadcrumb}>
        <ol>
          {crumbs.map(({ text, href }, i) => (
            <li key={text}>{href ? <a href={href}>{text}</a> : <span aria-current={i === crumbs.length - 1 ? "page" : undefined}>{text}</span>}</li>
          ))}
        </ol>
      </nav>
      <div class="page-head">
        <div class="title">
          <h1 ref={heading} tabIndex={-1}>
            {title}
          </h1>
          {beside}
        </div>
        {actions && <div class="actions">{actions}</div>}
      </div>
      {lead}
      {children}
    </>
  );
}

/** The breadcrumb of the pages below Setup / Integrations. */
export function setup(...rest: Crumb[]): Crumb[] {
  return [{ text: t.nav.setup }, { text: t.nav.integrations }, ...rest];
}

/** What a page shows while its rows are on their way. */
export function Loading() {
  return (
    <div class="card skeleton" role="status" aria-label={t.loading}>
      {[0, 1, 2, 3, 4, 5, 6, 7].map((n) => (
        <span key={n} />
      ))}
    </div>
  );
}

// Boxes: cards, banners, empty states, definition lists, code.
import type { ComponentChildren } from "preact";
import { Copy } from "./Copy";
import { Icon, type IconName } from "./Icon";
import type * as wire from "../app/wire";
import { t } from "../text";

export function Card({ title, aside, children, id }: { title?: ComponentChildren; aside?: ComponentChildren; children: ComponentChildren; id?: string }) {
  return (
    <section class="card" aria-labelledby={title && id ? id : undefined}>
      {title && (
        <header>
          <h2 id={id}>{title}</h2>
          {aside}
        </header>
      )}
      {children}
    </section>
  );
}

const bannerIcons: Record<string, IconName> = { info: "info", good: "good", wait: "wait", bad: "bad", away: "away" };

export function Banner({ tone, children, action }: { tone: "info" | "good" | "wait" | "bad" | "away"; children: ComponentChildren; action?: ComponentChildren }) {
  return (
    <div class={`banner ${tone}`} role={tone === "bad" ? "alert" : "status"}>
      <Icon name={bannerIcons[tone] ?? "info"} />
      <div>{children}</div>
      {action}
    </div>
  );
}

/** A text with commands and fields in backticks. */
export function Marked({ text }: { text: string }) {
  return <>{text.split("`").map((part, i) => (i % 2 ? <code key={i}>{part}</code> : part))}</>;
}

/** What a request was refused with, and what to ask for. */
export function FailureBanner({ failure, action }: { failure: wire.Failure; action?: ComponentChildren }) {
  return (
    <Banner tone="bad" action={action}>
      <Marked text={failure.message} />
      {failure.ask && <Code wrap text={failure.ask} what={t.command} />}
    </Banner>
  );
}

export function Empty({ icon, title, children, action }: { icon: IconName; title: string; children?: ComponentChildren; action?: ComponentChildren }) {
  return (
    <div class="empty">
      <span class="disc">
        <Icon name={icon} big />
      </span>
      <h2>{title}</h2>
      {children}
      {action && <div class="actions">{action}</div>}
    </div>
  );
}

/** Named values, one below the other. */
export function Facts({ children }: { children: ComponentChildren }) {
  return <dl class="facts">{children}</dl>;
}

export function Fact({ name, children, copy }: { name: string; children: ComponentChildren; copy?: string | undefined }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>
        <span class="value">{children}</span>
        {copy && <Copy text={copy} what={name} />}
      </dd>
    </div>
  );
}

/** Text for a terminal or a file, with a button to copy it. */
export function Code({ text, what, wrap }: { text: string; what: string; wrap?: boolean }) {
  return (
    <div class="code">
      <pre class={wrap ? "wrap" : undefined} tabIndex={0} aria-label={what} role="group">
        <code>{text}</code>
      </pre>
      <Copy text={text} what={what} />
    </div>
  );
}

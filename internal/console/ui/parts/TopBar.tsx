// The bar at the top: product, namespace, theme, help, account.
import { useSignal } from "@preact/signals";
import { me, signOut } from "../app/me";
import { listLink, namespace, namespaces, switchNamespace } from "../app/scope";
import { prefer, prefs, type Theme } from "../app/prefs";
import { Button } from "./Button";
import { submits, Tick } from "./Field";
import { Icon, type IconName } from "./Icon";
import { Pop } from "./Menu";
import { Time } from "./Time";
import { act } from "./Toast";
import { t } from "../text";

export function TopBar({ onHelp, onRail, rail }: { onHelp: () => void; onRail: () => void; rail: boolean }) {
  return (
    <header class="top">
      <button type="button" class="ghost icon-only rail-button" aria-label={t.nav.open} aria-expanded={rail} aria-controls="rail" onClick={onRail}>
        <Icon name="menu" />
      </button>
      <a class="mark" href={listLink("keys")} aria-label={t.product}>
        <Mark />
        <span>{t.product}</span>
      </a>
      <NamespaceSwitch />
      <span class="gap" />
      <ThemeSwitch />
      <button type="button" class="ghost icon-only help" aria-label={t.top.help} data-tip={t.top.help} onClick={onHelp}>
        <Icon name="help" />
      </button>
      <Account />
    </header>
  );
}

export function Mark() {
  return (
    <svg class="logo" viewBox="0 0 32 32" aria-hidden="true" focusable="false">
      <rect width="32" height="32" rx="8" />
      <circle cx="12" cy="19.5" r="5" />
      <path d="m15.8 15.8 8.4-8.4M20.4 11.6l3.4 3.4" />
    </svg>
  );
}

function NamespaceSwitch() {
  const ns = namespace.value;
  return (
    <Pop
      label={`${t.top.namespace} ${ns || t.top.allNamespaces}`}
      class="switch"
      named
      panelClass="picker"
      face={
        <>
          <span class="quiet">{t.top.namespace} </span>
          <strong>{ns || t.top.allNamespaces}</strong>
          <Icon name="down" />
        </>
      }
    >
      {(close) => <NamespacePicker close={close} />}
    </Pop>
  );
}

function NamespacePicker({ close }: { close: () => void }) {
  const text = useSignal("");
  const known = namespaces.value;
  const choose = (ns: string) => {
    close();
    switchNamespace(ns);
  };
  const found = (known ?? []).filter((ns) => ns.includes(text.value.trim()));
  return (
    <form
      onSubmit={submits(() => {
        const only = known ? found[0] : text.value.trim();
        if (only) choose(only);
      })}
    >
      <input
        type="search"
        aria-label={known ? t.top.find : t.top.typeNamespace}
        placeholder={known ? t.top.find : t.top.typeNamespace}
        autocomplete="off"
        spellcheck={false}
        value={text.value}
        onInput={(event) => (text.value = event.currentTarget.value)}
      />
      <ul>
        {text.value === "" && (
          <li>
            <button type="button" data-stop aria-pressed={namespace.value === ""} onClick={() => choose("")}>
              <Icon name="check" />
              {t.top.allNamespaces}
            </button>
          </li>
        )}
        {found.slice(0, 200).map((ns) => (
          <li key={ns}>
            <button type="button" data-stop aria-pressed={namespace.value === ns} onClick={() => choose(ns)}>
              <Icon name="check" />
              {ns}
            </button>
          </li>
        ))}
      </ul>
      {known && found.length === 0 && <p class="quiet">{t.top.noNamespace}</p>}
      {!known && (
        <button type="submit" class="button small">
          {t.top.show}
        </button>
      )}
    </form>
  );
}

const themes: [Theme, IconName][] = [
  ["auto", "theme"],
  ["light", "sun"],
  ["dark", "moon"],
];

function ThemeSwitch() {
  const now = prefs.value.theme;
  return (
    <Pop label={t.top.theme} class="ghost icon-only" panelClass="menu" role="menu" tip={t.top.theme} face={<Icon name={themes.find(([theme]) => theme === now)?.[1] ?? "theme"} />}>
      {(close) =>
        themes.map(([theme, icon]) => (
          <button
            key={theme}
            type="button"
            role="menuitemradio"
            tabIndex={-1}
            aria-checked={theme === now}
            onClick={() => {
              prefer({ theme });
              close();
            }}
          >
            <Icon name={icon} />
            {t.top.themes[theme]}
          </button>
        ))
      }
    </Pop>
  );
}

/** The part of a name that a person knows it by. */
function shortName(user: string): string {
  return user.replace(/^system:serviceaccount:/, "").replace(/^[a-z]+:(?=.*@)/, "");
}

function Account() {
  const who = me.value;
  const user = who?.user ?? "";
  return (
    <Pop
      label={`${t.top.user} ${shortName(user)}`}
      class="account"
      named
      panelClass="account-panel"
      face={
        <>
          <span class="avatar" aria-hidden="true">
            <Icon name="person" />
          </span>
          <span class="unseen">{t.top.user} </span>
          <span class="who">{shortName(user)}</span>
          <Icon name="down" />
        </>
      }
    >
      {() => (
        <>
          <p class="user">{user}</p>
          <dl class="facts tight">
            <div>
              <dt>{t.top.signedInBy}</dt>
              <dd>{t.top.means[who?.means ?? ""]}</dd>
            </div>
            {who?.until && (
              <div>
                <dt>{t.top.until}</dt>
                <dd>
                  <Time at={who.until} />
                </dd>
              </div>
            )}
            {who?.groups && who.groups.length > 0 && (
              <div>
                <dt>{t.top.groups}</dt>
                <dd>
                  <ul class="plain">
                    {who.groups.map((group) => (
                      <li key={group}>{group}</li>
                    ))}
                  </ul>
                </dd>
              </div>
            )}
          </dl>
          <Tick role="switch" checked={prefs.value.shortcuts} onChecked={(shortcuts) => prefer({ shortcuts })}>
            {t.top.shortcuts}
          </Tick>
          <Tick role="switch" checked={prefs.value.absolute} onChecked={(absolute) => prefer({ absolute })}>
            {t.top.absolute}
          </Tick>
          <Button class="button full" onClick={() => act(signOut)}>
            <Icon name="out" />
            {t.top.signOut}
          </Button>
        </>
      )}
    </Pop>
  );
}

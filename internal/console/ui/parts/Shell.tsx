// The frame around each page.
import { useEffect } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { go, match, path, visits } from "../app/router";
import { endsSoon, interrupted, loadMe, me, meFailure, signedIn } from "../app/me";
import { now } from "../app/clock";
import { prefer, prefs } from "../app/prefs";
import { shortcut } from "../app/shortcuts";
import { stream } from "../app/stream";
import { listLink } from "../app/scope";
import { clockTime, span } from "../app/time";
import { routes } from "../routes";
import { Button } from "./Button";
import { Banner, Empty, FailureBanner } from "./Box";
import { Help } from "./Help";
import { Page } from "./Page";
import { Rail } from "./Rail";
import { SignIn } from "../pages/SignIn";
import { Tip } from "./Tip";
import { Toasts } from "./Toast";
import { TopBar } from "./TopBar";
import { t } from "../text";

function Current() {
  for (const { pattern, page: Shown } of routes) {
    const params = match(pattern, path.value);
    // A page of another key is another page.
    if (params) return <Shown key={pattern + JSON.stringify(params)} params={params} />;
  }
  return (
    <Page title={t.notFound.title} crumbs={[]}>
      <div class="card">
        <Empty icon="search" title={t.notFound.text} action={<a class="button" href={listLink("keys")}>{t.notFound.home}</a>} />
      </div>
    </Page>
  );
}

function Banners() {
  const { state, since } = stream.value;
  const end = endsSoon.value;
  return (
    <div class="banners">
      {state === "away" && <Banner tone="away">{t.banners.away(clockTime(since))}</Banner>}
      {end && end.at > now.value && (
        <Banner
          tone="wait"
          action={
            end.idle ? (
              <Button onClick={() => void loadMe()}>
                {t.banners.stay}
              </Button>
            ) : undefined
          }
        >
          {t.banners.endsIn(span(Math.max(60, Math.round((end.at - now.value) / 60_000) * 60)))}
        </Banner>
      )}
    </div>
  );
}

export function Shell() {
  const help = useSignal(false);
  const rail = useSignal(false);
  useEffect(() => {
    const off = [
      shortcut("g k", () => go(listLink("keys"))),
      shortcut("g s", () => go(listLink("sessions"))),
      shortcut("g i", () => go("issuers")),
      shortcut("c", () => go("keys/new")),
      shortcut("t", () => prefer({ absolute: !prefs.peek().absolute })),
      shortcut("?", () => (help.value = true)),
      shortcut("/", () => document.querySelector<HTMLElement>("[data-search]")?.focus()),
    ];
    return () => off.forEach((f) => f());
  }, []);
  useEffect(() => visits.subscribe(() => (rail.value = false)), []);

  if (me.value === undefined) return meFailure.value ? <FailureBanner failure={meFailure.value} action={<Retry />} /> : <div class="starting" aria-busy="true" aria-label={t.loading} role="status" />;
  const inside = signedIn.value;
  return (
    <>
      {!inside && <SignIn />}
      {(inside || interrupted.value) && (
        <div class="frame" hidden={!inside}>
          <a class="skip" href="#content" onClick={(event) => skip(event)}>
            {t.nav.skip}
          </a>
          <TopBar onHelp={() => (help.value = true)} onRail={() => (rail.value = !rail.value)} rail={rail.value} />
          <Rail open={rail.value} onClose={() => (rail.value = false)} />
          <main id="content" tabIndex={-1}>
            <Banners />
            <Current />
          </main>
        </div>
      )}
      {help.value && <Help onClose={() => (help.value = false)} />}
      <Toasts />
      <Tip />
    </>
  );
}

function skip(event: Event): void {
  event.preventDefault();
  document.getElementById("content")?.focus();
}

function Retry() {
  return (
    <Button onClick={() => void loadMe()}>
      {t.retry}
    </Button>
  );
}

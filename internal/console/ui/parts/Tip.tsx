// The tip of any element with data-tip: on hover and on focus, closed by Escape, and the pointer may go over it.
import { useEffect, useRef } from "preact/hooks";
import { signal } from "@preact/signals";

const text = signal("");

export function Tip() {
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    let owner: HTMLElement | undefined;
    let due: ReturnType<typeof setTimeout> | undefined;
    const hide = () => {
      clearTimeout(due);
      owner?.removeAttribute("aria-describedby");
      owner = undefined;
      if (box.current?.matches(":popover-open")) box.current.hidePopover();
    };
    const show = (of: HTMLElement) => {
      const tip = box.current;
      const said = of.dataset["tip"];
      if (!tip || !said) return;
      owner = of;
      text.value = said;
      requestAnimationFrame(() => {
        if (owner !== of || !of.isConnected) return;
        tip.showPopover();
        of.setAttribute("aria-describedby", "tip");
        const at = of.getBoundingClientRect();
        const left = Math.max(8, Math.min(at.left + at.width / 2 - tip.offsetWidth / 2, document.documentElement.clientWidth - tip.offsetWidth - 8));
        const above = at.top - tip.offsetHeight - 6 > 0;
        tip.style.setProperty("left", `${left}px`);
        tip.style.setProperty("top", `${above ? at.top - tip.offsetHeight - 6 : at.bottom + 6}px`);
      });
    };
    const enter = (event: Event) => {
      if (!(event.target instanceof Element)) return;
      if (event.target.closest("#tip")) {
        clearTimeout(due);
        return;
      }
      const of = event.target.closest<HTMLElement>("[data-tip]");
      if (of === owner && of) return;
      clearTimeout(due);
      if (!of) {
        due = setTimeout(hide, 150);
        return;
      }
      if (event.type === "focusin" && !of.matches(":focus-visible")) return;
      hide();
      due = setTimeout(() => show(of), event.type === "focusin" ? 0 : 350);
    };
    const key = (event: KeyboardEvent) => {
      if (event.key === "Escape") hide();
    };
    document.addEventListener("pointerover", enter);
    document.addEventListener("focusin", enter);
    document.addEventListener("keydown", key);
    document.addEventListener("pointerdown", hide);
    addEventListener("scroll", hide, true);
    return () => {
      document.removeEventListener("pointerover", enter);
      document.removeEventListener("focusin", enter);
      document.removeEventListener("keydown", key);
      document.removeEventListener("pointerdown", hide);
      removeEventListener("scroll", hide, true);
    };
  }, []);
  return (
    <div ref={box} id="tip" class="tip" role="tooltip" popover="manual">
      {text.value}
    </div>
  );
}

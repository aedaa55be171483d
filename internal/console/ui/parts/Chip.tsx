// A status: an icon, a word and a colour.
import { Icon, type IconName } from "./Icon";

const icons: Record<string, IconName> = { good: "good", wait: "wait", bad: "bad", off: "off" };

export interface ChipProps {
  tone: string;
  word: string;
  /** What the status means here, shown on hover and focus. */
  tip?: string | undefined;
}

export function Chip({ tone, word, tip }: ChipProps) {
  return (
    <span class={`chip ${tone}`} data-tip={tip}>
      <Icon name={icons[tone] ?? "info"} />
      {word}
    </span>
  );
}

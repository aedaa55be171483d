// What the person may do: the questions of one moment go to the server together, and the answers hold for a minute.
import { signal, type Signal } from "@preact/signals";
import type * as wire from "./wire";
import { api } from "./api";

const unknown: wire.Answer = { unknown: true };
const holds = 60_000;
const known = new Map<string, { answer: Signal<wire.Answer>; at: number }>();
let waiting: { check: wire.Check; answer: Signal<wire.Answer> }[] = [];

async function ask(): Promise<void> {
  const asked = waiting;
  waiting = [];
  for (let i = 0; i < asked.length; i += 50) {
    const part = asked.slice(i, i + 50);
    try {
      const { answers } = await api.post<wire.Answers>("api/can", { checks: part.map(({ check }) => check) } satisfies wire.Can, { automatic: true });
      for (const [n, { answer }] of part.entries()) answer.value = answers[n] ?? unknown;
    } catch {
      // The API server decides when the action is taken.
    }
  }
}

/** The answer to a question; unknown until it is there. */
export function can(check: wire.Check): Signal<wire.Answer> {
  const id = [check.verb, check.resource, check.ns, check.name].join("/");
  const had = known.get(id);
  if (had && Date.now() - had.at < holds) return had.answer;
  const answer = had?.answer ?? signal<wire.Answer>(unknown);
  known.set(id, { answer, at: Date.now() });
  if (waiting.length === 0) queueMicrotask(() => void ask());
  waiting.push({ check, answer });
  return answer;
}

/** Why an action is not offered: undefined if it is. */
export function refusal(answer: wire.Answer): wire.Answer | undefined {
  return answer.allowed || answer.unknown ? undefined : answer;
}

export function forgetAnswers(): void {
  known.clear();
}

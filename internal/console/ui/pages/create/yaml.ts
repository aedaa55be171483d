// A manifest as YAML: the few shapes that a refresh key has.

// What YAML reads as another type, or as syntax, is written in quotes.
const plain = /^[A-Za-z0-9_./+](?:[\w ./@+:-]*[\w./@+-])?$/;
const other = /^(?:\d{4}-\d\d-\d\d.*|true|false|yes|no|on|off|null|y|n|~|[-+.\d][\d._eExXa-fA-F+:-]*|\.inf|\.nan)$/i;

// What YAML reads as the end of a line, or not at all.
const control = /[\u007f-\u009f\u2028\u2029\ufeff]/g;

function scalar(value: unknown): string {
  if (typeof value === "string" && plain.test(value) && !other.test(value) && !/:\s|:$|\s#/.test(value)) return value;
  return JSON.stringify(value).replaceAll(control, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

function lines(value: unknown, indent: string): string[] {
  if (Array.isArray(value)) {
    return value.flatMap((item) => {
      if (item === null || typeof item !== "object") return [`${indent}- ${scalar(item)}`];
      const [first = "", ...rest] = lines(item, `${indent}  `);
      return [`${indent}- ${first.trimStart()}`, ...rest];
    });
  }
  return Object.entries(value as Record<string, unknown>).flatMap(([name, inner]) => {
    const empty = inner !== null && typeof inner === "object" && Object.keys(inner).length === 0;
    if (inner === null || typeof inner !== "object" || empty) return [`${indent}${scalar(name)}: ${empty ? JSON.stringify(inner) : scalar(inner)}`];
    return [`${indent}${scalar(name)}:`, ...lines(inner, Array.isArray(inner) ? indent : `${indent}  `)];
  });
}

export function yaml(value: object): string {
  return `${lines(value, "").join("\n")}\n`;
}

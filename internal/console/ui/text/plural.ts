const rules = new Intl.PluralRules("en");
const number = new Intl.NumberFormat("en");

/** 1 key, 2 keys, 1,000 keys */
export function plural(n: number, one: string, other: string): string {
  return `${number.format(n)} ${rules.select(n) === "one" ? one : other}`;
}

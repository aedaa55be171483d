// Many requests, five at a time.

/** Does f with each item, until stopped says so. */
export async function each<T>(items: readonly T[], f: (item: T) => Promise<void>, stopped = () => false): Promise<void> {
  const rest = [...items];
  const worker = async () => {
    for (let item = rest.shift(); item && !stopped(); item = rest.shift()) await f(item);
  };
  await Promise.all([1, 2, 3, 4, 5].map(worker));
}

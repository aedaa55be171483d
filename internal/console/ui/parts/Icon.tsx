// Icons of 16 units, drawn with one pen.
const disc = "M8 1.5a6.5 6.5 0 1 0 .01 0z";
const paths = {
  key: "M9.6 6.4 14 2m-2.2 2.2 1.6 1.6M10 9.5a3.5 3.5 0 1 1-7 0 3.5 3.5 0 0 1 7 0",
  sessions: "M2.5 3h11v7.5h-11zM6 13.5h4M8 10.5v3",
  issuer: "M8 1.8 13.5 4v4c0 3.2-2.3 5.3-5.5 6.2C4.8 13.3 2.5 11.2 2.5 8V4zM5.7 8l1.7 1.7 3-3.2",
  person: "M8 8a2.8 2.8 0 1 0 0-5.6A2.8 2.8 0 0 0 8 8M2.8 14c.4-2.8 2.5-4.2 5.2-4.2s4.8 1.4 5.2 4.2",
  verify: "M7 12.5a5.5 5.5 0 1 0 0-11 5.5 5.5 0 0 0 0 11M11 11l3.5 3.5M4.8 7l1.6 1.6L9.3 5.5",
  plus: "M8 3v10M3 8h10",
  search: "M7 12a5 5 0 1 0 0-10 5 5 0 0 0 0 10M10.7 10.7 14 14",
  down: "m4 6 4 4 4-4",
  up: "m4 10 4-4 4 4",
  left: "m10 4-4 4 4 4",
  right: "m6 4 4 4-4 4",
  more: "M3.5 7.6a.4.4 0 1 0 .01 0zM8 7.6a.4.4 0 1 0 .01 0zM12.5 7.6a.4.4 0 1 0 .01 0z",
  pencil: "m3 10-.5 3.5L6 13l7.5-7.5-3-3zM9 4l3 3",
  copy: "M5.5 5.5h8v8h-8zM10.5 5.5v-3h-8v8h3",
  check: "m3 8.5 3.2 3.2L13 4.8",
  close: "m4 4 8 8M12 4l-8 8",
  good: `${disc}M5.2 8.2l2 2 3.6-4`,
  wait: `${disc}M8 4.5V8l2.3 1.7`,
  bad: "M8 2 14.8 13.8H1.2zM8 6.5v3.2M8 11.7h.01",
  off: `${disc}M3.5 12.5l9-9`,
  columns: "M2 2.5h12v11H2zM6 2.5v11M10 2.5v11",
  filter: "M2 3.5h12M4.5 8h7M7 12.5h2",
  rotate: "M13.5 8a5.5 5.5 0 1 1-1.7-4L13.5 5.5M13.5 2v3.5H10",
  theme: `${disc}M8 2.8h2.6M8 4.3h4.3M8 5.8h5.2M8 7.3h5.8M8 8.8h5.8M8 10.3h5.2M8 11.8h4.3M8 13.3h2.6`,
  sun: "M8 11a3 3 0 1 0 0-6 3 3 0 0 0 0 6M8 1v1.5M8 13.5V15M1 8h1.5M13.5 8H15M3 3l1 1M12 12l1 1M3 13l1-1M12 4l1-1",
  moon: "M13.5 9.5A6 6 0 0 1 6.5 2.5a6 6 0 1 0 7 7",
  help: `${disc}M6 6.3c.2-1.2 1-1.8 2-1.8 1.2 0 2 .8 2 1.8 0 1.5-2 1.6-2 3M8 11.5h.01`,
  menu: "M2 4h12M2 8h12M2 12h12",
  eye: "M1.5 8S4 3.5 8 3.5 14.5 8 14.5 8 12 12.5 8 12.5 1.5 8 1.5 8M8 10a2 2 0 1 0 0-4 2 2 0 0 0 0 4",
  out: "M6 2.5H2.5v11H6M10 4.5 13.5 8 10 11.5M13.5 8H6",
  trash: "M2.5 4h11M6 4V2.5h4V4M4 4l.7 9.5h6.6L12 4M6.7 7v4M9.3 7v4",
  away: "M2 5.5c3.5-3 8.5-3 12 0M4.3 8.2c2.2-1.8 5.2-1.8 7.4 0M8 12h.01M2 2l12 12",
  info: `${disc}M8 7.5v4M8 4.7h.01`,
} as const;

export type IconName = keyof typeof paths;

export function Icon({ name, big }: { name: IconName; big?: boolean }) {
  return (
    <svg class={big ? "icon big" : "icon"} viewBox="0 0 16 16" aria-hidden="true" focusable="false">
      <path d={paths[name]} />
    </svg>
  );
}

// The icons of the page: outlines on a 24 x 24 grid, drawn in the current text colour,
// hidden from screen readers (the control around them carries the name).

const paths = {
  key: 'M15.5 8.5m-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0-9 0M12.3 11.7L4 20m3.5-3.5L10 19m-5 0l1.5 1.5',
  workflow: 'M4 4h6v6H4zM14 14h6v6h-6zM7 10v4a3 3 0 0 0 3 3h4',
  runs: 'M4 12h4l3 7 4-14 3 7h2',
  trigger: 'M13 3L5 13.5h6L10.5 21 19 10h-6.5z',
  plus: 'M12 5v14M5 12h14',
  search: 'M11 11m-6.5 0a6.5 6.5 0 1 0 13 0a6.5 6.5 0 1 0-13 0M20 20l-4.3-4.3',
  copy: 'M9 9h10v10H9zM5 15V5h10',
  check: 'M5 12.5l4.5 4.5L19 7.5',
  alert: 'M12 4L2.8 19.5h18.4zM12 10v4.5M12 17v.2',
  sun: 'M12 12m-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0M12 3v1.5M12 19.5V21M3 12h1.5M19.5 12H21M5.6 5.6l1.1 1.1M17.3 17.3l1.1 1.1M5.6 18.4l1.1-1.1M17.3 6.7l1.1-1.1',
  moon: 'M19.5 14A8 8 0 1 1 10 4.5 6.3 6.3 0 0 0 19.5 14z',
  screen: 'M4 5h16v11H4zM9 20h6M12 16v4',
  language: 'M12 12m-9 0a9 9 0 1 0 18 0a9 9 0 1 0-18 0M3.5 9h17M3.5 15h17M12 3c-5 5.500-5 12.500 0 18M12 3c5 5.500 5 12.500 0 18',
  user: 'M12 8m-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0M4.500 20.500c.8-4 3.700-6 7.500-6s6.700 2 7.500 6',
  chevron: 'M9 6l6 6-6 6',
  external: 'M14 4h6v6M20 4l-9 9M18 14v6H4V6h6',
  play: 'M7 4.500l12 7.500-12 7.500z',
  refresh: 'M20 11a8 8 0 1 0-2.300 6.300M20 5v6h-6',
  lock: 'M6 11h12v9H6zM8.5 11V8a3.500 3.500 0 0 1 7 0v3',
  download: 'M12 4v11m-4.500-4.500L12 15l4.500-4.500M5 20h14',
  close: 'M6 6l12 12M18 6L6 18',
  minus: 'M5 12h14',
  fit: 'M4 8V4h4M20 8V4h-4M4 16v4h4M20 16v4h-4',
  pause: 'M8 5v14M16 5v14',
} as const;

export type IconName = keyof typeof paths;

export function Icon({ name, size = 16 }: { name: IconName; size?: number }) {
  return (
    <svg
      width={size}
      height={size}
      viewBox="0 0 24 24"
      fill="none"
      stroke="currentColor"
      strokeWidth={1.8}
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
      focusable="false"
    >
      <path d={paths[name]} />
    </svg>
  );
}

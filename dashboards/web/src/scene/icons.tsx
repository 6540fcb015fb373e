/** Line drawings of the buttons, 24 units wide. */

const PATHS = {
  orbit: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8ZM3 12c0-2.2 4-4 9-4s9 1.8 9 4-4 4-9 4-9-1.8-9-4Z",
  drone: "M12 3 20 20l-8-4-8 4Z",
  reset: "M4 12a8 8 0 1 0 2.6-5.9M4 4v4.5h4.5",
  compare: "M4 5h16v14H4ZM12 3v18M9 10l-2 2 2 2M15 10l2 2-2 2",
  measure: "M3 16 16 3l5 5L8 21ZM7 12l2 2M10 9l3 3M13 6l2 2",
  look: "M12 7.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9ZM12 2v2.5M12 19.5V22M2 12h2.5M19.5 12H22M4.9 4.9l1.8 1.8M17.3 17.3l1.8 1.8M19.1 4.9l-1.8 1.8M6.7 17.3l-1.8 1.8",
  camera: "M3 8h4l2-3h6l2 3h4v12H3ZM12 10a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7Z",
  share: "M12 15V3M8 6.5 12 3l4 3.5M5 11v10h14V11",
  info: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18ZM12 11v6M12 7v.5",
  help: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18ZM9.3 9.5c.3-3 5.4-3 5.4 0 0 2-2.7 2.2-2.7 4.3M12 17v.5",
  full: "M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5",
  save: "M6 3h12v18l-6-5-6 5Z",
  close: "M5 5l14 14M19 5 5 19",
  before: "M15 5l-7 7 7 7",
  after: "M9 5l7 7-7 7",
  open: "M14 4h6v6M20 4l-9 9M18 14v6H4V6h6",
  clear: "M5 7h14M10 7V4h4v3M7 7l1 14h8l1-14",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg viewBox="0 0 24 24" class="icon" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}

interface ButtonProps {
  icon: IconName;
  label: string;
  onClick: () => void;
  /** For what stays on until it is pressed again. */
  pressed?: boolean;
  id?: string;
}

export function IconButton({ icon, label, onClick, pressed, id }: ButtonProps) {
  return (
    <button
      type="button"
      class="tool"
      id={id}
      aria-label={label}
      title={label}
      aria-pressed={pressed}
      onClick={onClick}
    >
      <Icon name={icon} />
    </button>
  );
}

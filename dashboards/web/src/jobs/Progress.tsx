export function Progress(props: { percent: number; label: string; text?: string }) {
  return (
    <div
      class="progress"
      role="progressbar"
      aria-label={props.label}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={props.percent}
      aria-valuetext={props.text}
    >
      <div style={{ width: `${props.percent}%` }} />
    </div>
  );
}

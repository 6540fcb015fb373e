import { Frame } from "./frame";

const HELP: [string, [string, string][]][] = [
  [
    "Orbit",
    [
      ["Drag, one finger, arrow keys, right stick", "turn about the middle"],
      ["Wheel, pinch, W and S, left stick", "nearer, farther"],
      ["Right drag, two fingers, A and D, Q and E", "slide"],
    ],
  ],
  [
    "Drone",
    [
      ["Drag, one finger, arrow keys, right stick", "look around"],
      ["W A S D, left stick", "fly ahead, left, back, right"],
      ["Q and E, triggers", "down, up"],
      ["Wheel, pinch", "ahead, back"],
      ["Right drag, two fingers", "slide"],
    ],
  ],
  [
    "Everywhere",
    [
      ["Shift, bumpers", "faster"],
      ["R", "back to the first view"],
      ["M", "measure; Enter sets a point in the middle"],
      ["F", "full screen"],
      ["?", "this help"],
      ["Esc", "end what is open"],
    ],
  ],
];

export function Help() {
  return (
    <Frame name="help" title="How to move">
      {HELP.map(([title, rows]) => (
        <div key={title}>
          <h3>{title}</h3>
          <dl class="keys">
            {rows.map(([keys, what]) => (
              <div key={keys}>
                <dt>{keys}</dt>
                <dd>{what}</dd>
              </div>
            ))}
          </dl>
        </div>
      ))}
    </Frame>
  );
}

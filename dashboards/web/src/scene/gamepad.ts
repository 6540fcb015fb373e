/** The sticks of a gamepad, as directions. Asked only while one is connected. */

import { NOTHING, type Wish } from "./keys";

const DEAD = 0.12; // sticks at rest say up to this

/** Left stick: sideways and ahead; right stick: look; triggers: down and up; either bumper: faster. */
export function wishOfPad(
  axes: readonly number[],
  buttons: readonly { value: number; pressed: boolean }[],
): Wish {
  const [x = 0, y = 0, u = 0, v = 0] = axes;
  const lift = (buttons[7]?.value ?? 0) - (buttons[6]?.value ?? 0);
  const fast = Boolean(buttons[4]?.pressed || buttons[5]?.pressed);
  return { move: [eased(x), eased(lift), -eased(y) || 0], turn: [eased(u), -eased(v) || 0], fast };
}

function eased(value: number): number {
  const beyond = (Math.abs(value) - DEAD) / (1 - DEAD);
  return beyond > 0 ? Math.sign(value) * Math.min(1, beyond) ** 2 : 0;
}

export class Gamepads {
  private waiting = 0;

  /** `moved` is called at every look while a stick is away from its rest. */
  constructor(
    private readonly moved: () => void,
    private readonly signal: AbortSignal,
  ) {
    addEventListener("gamepadconnected", () => this.watch(), { signal });
    signal.addEventListener("abort", () => clearTimeout(this.waiting));
    if (this.pad() !== null) this.watch();
  }

  wish(): Wish {
    const pad = this.pad();
    return pad === null ? NOTHING : wishOfPad(pad.axes, pad.buttons);
  }

  private pad(): Gamepad | null {
    return navigator.getGamepads?.().find((pad) => pad !== null && pad.connected) ?? null;
  }

  private watch(): void {
    clearTimeout(this.waiting);
    if (this.signal.aborted || this.pad() === null) return;
    const { move, turn } = this.wish();
    if ([...move, ...turn].some((part) => part !== 0)) this.moved();
    this.waiting = window.setTimeout(() => this.watch(), 33);
  }
}

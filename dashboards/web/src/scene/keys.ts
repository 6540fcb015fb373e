/** Keys that are held down, as directions. */

/** Parts of a full deflection, -1 to 1, in the camera's own axes. */
export interface Wish {
  /** Right, up, ahead. */
  move: [number, number, number];
  /** To the right, upwards. */
  turn: [number, number];
  fast: boolean;
}

export const NOTHING: Wish = { move: [0, 0, 0], turn: [0, 0], fast: false };

const MOVES: Record<string, [number, number, number]> = {
  KeyW: [0, 0, 1],
  KeyS: [0, 0, -1],
  KeyA: [-1, 0, 0],
  KeyD: [1, 0, 0],
  KeyQ: [0, -1, 0],
  KeyE: [0, 1, 0],
};
const TURNS: Record<string, [number, number]> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, 1],
  ArrowDown: [0, -1],
};

/** Places on the keyboard, not letters: it works the same on every layout. */
export function wishOf(held: ReadonlySet<string>): Wish {
  const wish: Wish = { move: [0, 0, 0], turn: [0, 0], fast: held.has("ShiftLeft") || held.has("ShiftRight") };
  for (const code of held) {
    MOVES[code]?.forEach((part, axis) => (wish.move[axis]! += part));
    TURNS[code]?.forEach((part, axis) => (wish.turn[axis]! += part));
  }
  return wish;
}

export function isNothing(wish: Wish): boolean {
  return wish.move.every((part) => part === 0) && wish.turn.every((part) => part === 0);
}

/** Follows the keys of the page. `changed` is called at every press that moves something. */
export class HeldKeys {
  private readonly held = new Set<string>();
  private readonly pressed = new Set<string>(); // since the last picture: they may be up again

  constructor(
    private readonly changed: () => void,
    signal: AbortSignal,
  ) {
    addEventListener("keydown", (event) => this.down(event), { signal });
    addEventListener("keyup", (event) => this.held.delete(event.code), { signal });
    addEventListener("blur", () => this.held.clear(), { signal });
    document.addEventListener("focusin", (event) => writes(event.target) && this.held.clear(), { signal });
  }

  /** What the keys ask for since this was asked last. */
  wish(): Wish {
    const wish = wishOf(new Set([...this.held, ...this.pressed]));
    this.pressed.clear();
    return wish;
  }

  private down(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || takesKeys(event)) return;
    if (event.code.startsWith("Shift")) this.held.add(event.code);
    if (!(event.code in MOVES) && !(event.code in TURNS)) return;
    event.preventDefault(); // arrows scroll pages
    if (event.repeat) return;
    this.held.add(event.code);
    this.pressed.add(event.code);
    this.changed();
  }
}

/** Whether what has the focus needs this key itself. */
export function takesKeys(event: KeyboardEvent): boolean {
  const target = event.target;
  if (!(target instanceof Element)) return false;
  if (target.closest("[role=dialog]")) return true;
  if (event.code.startsWith("Arrow") && target.closest("[role=slider], select, input, video")) return true;
  return writes(target);
}

function writes(target: EventTarget | null): boolean {
  return target instanceof Element && target.closest("input, textarea, select") !== null;
}

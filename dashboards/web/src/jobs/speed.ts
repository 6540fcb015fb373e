/** How fast bytes go, over the last seconds. */

const WINDOW_MS = 6000;
const LEAST_MS = 700;

export class Speed {
  #samples: { atMs: number; sent: number }[] = [];

  /** Takes note of how many bytes have gone in all. */
  note(sent: number, atMs: number): void {
    if (this.#samples.length > 0 && sent < this.#samples.at(-1)!.sent) this.#samples = [];
    this.#samples.push({ atMs, sent });
    while (this.#samples.length > 2 && atMs - this.#samples[0]!.atMs > WINDOW_MS) this.#samples.shift();
  }

  /** Bytes a second; null until it can be told. */
  get(): number | null {
    const [first, last] = [this.#samples[0], this.#samples.at(-1)];
    if (!first || !last || last.atMs - first.atMs < LEAST_MS) return null;
    return ((last.sent - first.sent) / (last.atMs - first.atMs)) * 1000;
  }
}

/** Seconds until all has gone; null when that can't be told. */
export function secondsLeft(sent: number, total: number, perSecond: number | null): number | null {
  return perSecond === null || perSecond <= 0 ? null : (total - sent) / perSecond;
}

/** When to ask the service next. */

export interface Pace {
  /** Something of what is shown is under way. */
  active: boolean;
  visible: boolean;
  /** In a row. */
  failures: number;
  retryAfterSeconds: number | null;
}

const ACTIVE_SECONDS = 3;
const REST_SECONDS = 20;
const LONGEST_SECONDS = 60;

/** Seconds until the next question. `random` in [0, 1) spreads those after failures. */
export function delaySeconds(pace: Pace, random: () => number): number {
  const usual = pace.active && pace.visible ? ACTIVE_SECONDS : REST_SECONDS;
  if (pace.failures === 0) return Math.max(usual, pace.retryAfterSeconds ?? 0);
  const doubled = ACTIVE_SECONDS * 2 ** Math.min(10, pace.failures - 1);
  const spread = Math.min(LONGEST_SECONDS, doubled) * (0.8 + 0.4 * random());
  return Math.max(spread, pace.retryAfterSeconds ?? 0);
}

/** Does a piece of work again and again, never twice at a time. */
export class Poller {
  #work: () => Promise<void>;
  #pace: () => Pace;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #running = false;
  #busy = false;
  #wanted = false;

  /** `work` must not throw. */
  constructor(work: () => Promise<void>, pace: () => Pace) {
    this.#work = work;
    this.#pace = pace;
  }

  start(): void {
    this.#running = true;
    this.now();
  }

  stop(): void {
    this.#running = false;
    clearTimeout(this.#timer);
  }

  /** Does it at once; when it is being done, once more after that. */
  now(): void {
    if (!this.#running) return;
    if (this.#busy) this.#wanted = true;
    else void this.#turn();
  }

  async #turn(): Promise<void> {
    clearTimeout(this.#timer);
    this.#busy = true;
    try {
      do {
        this.#wanted = false;
        await this.#work();
      } while (this.#wanted && this.#running);
    } finally {
      this.#busy = false;
      if (this.#running)
        this.#timer = setTimeout(() => this.now(), 1000 * delaySeconds(this.#pace(), Math.random));
    }
  }
}

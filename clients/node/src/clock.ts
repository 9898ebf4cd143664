/** Time, passed in: what the wall says, and what cannot be set back. */
export interface Clock {
  /** Wall-clock time, for comparing with `exp` and `nbf`. */
  now(): Date;
  /** Milliseconds since an arbitrary instant, unmoved by changes of the wall clock. */
  monotonicMs(): number;
}

/** The process's own clock. */
export const systemClock: Clock = {
  now: () => new Date(),
  monotonicMs: () => performance.now(),
};

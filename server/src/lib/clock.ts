/** Where the time comes from. Passed in, so that tests move it. */
export interface Clock {
  /** The present instant. */
  now(): Date;
}

/** The machine's clock. */
export const systemClock: Clock = { now: () => new Date() };

/** Milliseconds of a clock that never goes back: for how long something takes. */
export function systemMonotonicMs(): number {
  return performance.now();
}

/**
 * By how much the clocks of processes may differ, in milliseconds. What lies
 * further ahead was noted by a clock that was wrong and has been set back.
 */
export const clockSlackMs = 5_000;

/** Whole seconds since the epoch, as JWT's NumericDate (RFC 7519 §2) counts them. */
export function toEpochSeconds(instant: Date): number {
  return Math.floor(instant.getTime() / 1000);
}

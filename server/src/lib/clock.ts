/** Where the time comes from. Passed in, so that tests move it. */
export interface Clock {
  /** The present instant. */
  now(): Date;
}

/** The machine's clock. */
export const systemClock: Clock = { now: () => new Date() };

/** Whole seconds since the epoch, as JWT's NumericDate (RFC 7519 §2) counts them. */
export function toEpochSeconds(instant: Date): number {
  return Math.floor(instant.getTime() / 1000);
}

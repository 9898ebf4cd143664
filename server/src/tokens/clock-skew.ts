/** Clock skew, told to callers whose token or assertion is refused for its time alone. */
/** Largest instant that a Date can hold, in seconds since the epoch. */
const largestInstant = 8.64e12;

/**
 * Metadata of a refusal for its time alone: what the caller's token or
 * assertion says, under `name`, and this server's clock. To a caller whose
 * clock is wrong it seems to expire the moment it is made.
 *
 * Only for what is known to be the caller's: its signature is good.
 */
export function clockSkewMetadata(name: string, epochSeconds: number, now: number): Record<string, string> {
  return { [name]: toInstant(epochSeconds), server_time: toInstant(now) };
}

/** What no calendar holds is answered as the number it is. */
function toInstant(epochSeconds: number): string {
  if (Math.abs(epochSeconds) > largestInstant) return String(epochSeconds);
  return new Date(epochSeconds * 1000).toISOString().replace(".000Z", "Z");
}

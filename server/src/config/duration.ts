import { ValueError } from "../lib/value-error.ts";

/** What a duration looks like, to go on from a key. */
export const durationExpected = "must be a duration such as 60s, 10m, 1h30m or 720h";

const pattern = /^(?:(\d{1,6})h)?(?:(\d{1,8})m)?(?:(\d{1,10})s)?$/;

/**
 * Reads a duration of whole hours, minutes and seconds (`720h`, `1h30m`,
 * `60s`) into seconds.
 *
 * @throws ValueError
 */
export function parseDurationSeconds(text: string): number {
  const match = text === "" ? null : pattern.exec(text);
  if (match === null) throw new ValueError(durationExpected);
  const [, hours = "0", minutes = "0", seconds = "0"] = match;
  return Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds);
}

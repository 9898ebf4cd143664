import { createHmac, timingSafeEqual } from "node:crypto";

/**
 * What a form of our own pages carries: made from the browser's cookie, which
 * no other site can read.
 *
 * @param purpose names the form, and whatever else it must not be used for.
 */
export function toFormToken(browser: string, purpose: string): string {
  return createHmac("sha256", browser).update(`vestibule form ${purpose}`).digest("base64url");
}

/** Whether a form carries the token of this very browser and purpose. */
export function isFormToken(token: string, browsers: readonly string[], purpose: string): boolean {
  const presented = Buffer.from(token);
  return browsers.some((browser) => {
    const expected = Buffer.from(toFormToken(browser, purpose));
    return presented.length === expected.length && timingSafeEqual(presented, expected);
  });
}

/** Whether a form was sent from a page of ours: by its `Origin`, or without one by what the browser says of it. */
export function isFromOwnPage(header: Headers, publicUrl: string): boolean {
  const origin = header.get("origin");
  return origin === null ? header.get("sec-fetch-site") === "same-origin" : origin === publicUrl;
}

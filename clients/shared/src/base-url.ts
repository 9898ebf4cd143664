/** The address without a slash at its end. @throws TypeError when it is none. */
export function toBaseUrl(address: string | URL): string {
  const url = URL.parse(address.toString());
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new TypeError("baseUrl must be an http or https address");
  }
  return `${url.origin}${url.pathname}`.replace(/\/+$/, "");
}

/** The address without a slash at its end. @throws TypeError when it is none. */
export function toBaseUrl(address: string | URL): string {
  const url = URL.canParse(address.toString()) ? new URL(address) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw new TypeError("baseUrl must be an http or https address");
  }
  return `${url.origin}${url.pathname}`.replace(/\/+$/, "");
}

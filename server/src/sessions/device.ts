import { isUtf8 } from "node:buffer";
import type { SessionHeadersConfig } from "../config/config.ts";
import type { RequestInfo } from "../lib/request.ts";
import type { Device } from "./session.ts";

/** Longest place or address that is kept, in characters. */
const longestText = 100;

/**
 * A header's value as it was meant: its bytes come as Latin-1 (RFC 9110 §5.5),
 * but whoever names places names them in UTF-8. What is not UTF-8 stays.
 */
function decode(value: string): string {
  const bytes = Buffer.from(value, "latin1");
  return isUtf8(bytes) ? bytes.toString("utf8") : value;
}

/**
 * Reads device and place of a request from the configured headers.
 *
 * Only a trusted proxy's are believed. `X-Forwarded-For` was read already, by
 * the rule that knows how many proxies there are; `User-Agent` is the
 * browser's own and needs no trust, for it proves nothing.
 */
export function readDevice(names: SessionHeadersConfig, header: Headers, info: RequestInfo): Device {
  function read(name: string): string {
    const text = info.fromTrustedProxy ? (header.get(name) ?? "") : "";
    return decode(text)
      .replace(/\p{Cc}/gu, "")
      .trim()
      .slice(0, longestText)
      .toWellFormed();
  }
  const hasOwnAddress = names.clientIp !== "x-forwarded-for" && names.clientIp !== "forwarded";
  const ownAgent = names.clientUserAgent === "user-agent" ? "" : read(names.clientUserAgent);
  return {
    ...readUserAgent(ownAgent || info.userAgent),
    ipAddress: (hasOwnAddress && read(names.clientIp)) || info.clientAddress,
    city: read(names.clientCity),
    country: read(names.clientCountry),
    latitude: read(names.clientLatitude),
    longitude: read(names.clientLongitude),
  };
}

/** Names in the order to look for: many a browser also names those it descends from. */
const browsers: readonly (readonly [name: string, pattern: RegExp])[] = [
  ["Edge", /\bEdg(?:e|A|iOS)?\//],
  ["Opera", /\b(?:OPR|Opera|OPiOS|OPT)\//],
  ["Samsung Internet", /\bSamsungBrowser\//],
  ["Vivaldi", /\bVivaldi\//],
  ["Yandex", /\bYaBrowser\//],
  ["Firefox", /\b(?:Firefox|FxiOS)\//],
  ["Chrome", /\b(?:Chrome|Chromium|HeadlessChrome|CriOS)\//],
  ["Safari", /\bVersion\/[\d.]+.*\bSafari\//],
  ["curl", /^curl\//],
];

const systems: readonly (readonly [name: string, pattern: RegExp])[] = [
  ["Android", /\bAndroid\b/],
  ["iOS", /\b(?:iPhone|iPad|iPod)\b/],
  ["ChromeOS", /\bCrOS\b/],
  ["Windows", /\bWindows\b/],
  ["macOS", /\bMac(?:intosh| OS X)\b/],
  ["Linux", /\bLinux\b/],
];

/** Reads browser and operating system from a `User-Agent`, as far as a person would name them; else empty. */
export function readUserAgent(text: string): { readonly browser: string; readonly operatingSystem: string } {
  const find = (names: typeof browsers) => names.find(([, pattern]) => pattern.test(text))?.[0] ?? "";
  return { browser: find(browsers), operatingSystem: find(systems) };
}

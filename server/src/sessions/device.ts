import type { SessionHeadersConfig } from "../config/config.ts";
import type { RequestInfo } from "../lib/request.ts";
import type { Device } from "./session.ts";
import { readUserAgent } from "./user-agent.ts";

/** Longest place or address that is kept, in characters. */
const longestText = 100;

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
    return text
      .replace(/\p{Cc}/gu, "")
      .trim()
      .slice(0, longestText);
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

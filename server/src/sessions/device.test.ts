import { describe, expect, it } from "vitest";
import { readDevice, readUserAgent } from "./device.ts";
import { deviceHeaders as names } from "./test-support.ts";

const header = new Headers({
  "x-frontier-country": "DE",
  "x-frontier-city": "K\u00f6ln",
  "x-frontier-latitude": "50.9",
  "x-frontier-longitude": "6.9",
  "x-real-ip": "192.0.2.9",
  "x-device": "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0",
});

function info(fromTrustedProxy: boolean) {
  const userAgent = "curl/8.5.0";
  return { requestId: "r", clientAddress: "198.51.100.7", fromTrustedProxy, userAgent, outcome: {} };
}

describe("readDevice", () => {
  it("believes a trusted proxy", () => {
    expect(readDevice(names, header, info(true))).toEqual({
      operatingSystem: "",
      browser: "curl",
      ipAddress: "198.51.100.7",
      city: "Köln",
      country: "DE",
      latitude: "50.9",
      longitude: "6.9",
    });
  });

  it("believes nobody else", () => {
    const own = { ...names, clientIp: "x-real-ip", clientUserAgent: "x-device" };
    expect(readDevice(own, header, info(false))).toEqual({
      operatingSystem: "",
      browser: "curl",
      ipAddress: "198.51.100.7",
      city: "",
      country: "",
      latitude: "",
      longitude: "",
    });
  });

  it("reads headers of other names", () => {
    const own = { ...names, clientIp: "x-real-ip", clientUserAgent: "x-device" };
    expect(readDevice(own, header, info(true))).toMatchObject({
      ipAddress: "192.0.2.9",
      browser: "Firefox",
      operatingSystem: "Linux",
    });
  });

  it.each([
    ["S\u00c3\u00a3o Paulo", "São Paulo"],
    ["\u00e6\u009d\u00b1\u00e4\u00ba\u00ac", "東京"],
    ["K\u00f6ln", "Köln"],
  ])("reads %j as the name %s, whether its bytes are UTF-8 or Latin-1", (bytes, city) => {
    expect(readDevice(names, new Headers({ "x-frontier-city": bytes }), info(true)).city).toBe(city);
  });

  it("keeps no more than a name", () => {
    const long = new Headers({ "x-frontier-city": "x".repeat(5000) });
    expect(readDevice(names, long, info(true)).city).toHaveLength(100);
  });
});

const webkit = "AppleWebKit/537.36 (KHTML, like Gecko)";

it.each([
  [`Mozilla/5.0 (Windows NT 10.0; Win64; x64) ${webkit} Chrome/130.0.0.0 Safari/537.36`, "Chrome", "Windows"],
  [
    `Mozilla/5.0 (Windows NT 10.0; Win64; x64) ${webkit} Chrome/130.0 Safari/537.36 Edg/130.0`,
    "Edge",
    "Windows",
  ],
  [
    `Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) ${webkit} Version/17.6 Safari/605.1.15`,
    "Safari",
    "macOS",
  ],
  [
    `Mozilla/5.0 (iPhone; CPU iPhone OS 17_6 like Mac OS X) ${webkit} Version/17.6 Mobile/15E148 Safari/604.1`,
    "Safari",
    "iOS",
  ],
  [
    `Mozilla/5.0 (iPhone; CPU iPhone OS 17_6 like Mac OS X) ${webkit} CriOS/130.0 Mobile/15E148 Safari/604.1`,
    "Chrome",
    "iOS",
  ],
  [
    `Mozilla/5.0 (Linux; Android 14; Pixel 8) ${webkit} Chrome/130.0 Mobile Safari/537.36`,
    "Chrome",
    "Android",
  ],
  [
    `Mozilla/5.0 (Linux; Android 14; SM-S921B) ${webkit} SamsungBrowser/25.0 Chrome/121.0 Mobile Safari/537.36`,
    "Samsung Internet",
    "Android",
  ],
  ["Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0", "Firefox", "Linux"],
  [`Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) ${webkit} Chrome/130.0 Safari/537.36`, "Chrome", "ChromeOS"],
  [`Mozilla/5.0 (X11; Linux x86_64) ${webkit} Chrome/130.0 Safari/537.36 OPR/115.0`, "Opera", "Linux"],
  ["connect-es/2.2.0", "", ""],
  ["", "", ""],
])("reads %s", (text, browser, operatingSystem) => {
  expect(readUserAgent(text)).toEqual({ browser, operatingSystem });
});

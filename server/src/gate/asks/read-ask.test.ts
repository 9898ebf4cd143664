import { describe, expect, it } from "vitest";
import { type DescribedRequest, readAsk } from "./read-ask.ts";

const request: DescribedRequest = {
  frontdoorId: "019a0000-0000-7000-8000-00000000000f",
  scheme: "https",
  host: "app.example.com",
  method: "GET",
  target: "/",
  lines: [],
  clientAddress: "198.51.100.7",
  requestId: "r1",
  userAgent: "test",
};
const read = (change: Partial<DescribedRequest>) => readAsk({ ...request, ...change });
const withLines = (...lines: string[]) => read({ lines });

it("makes an ask of what a proxy says", () => {
  const lines = [
    "Accept",
    "text/html",
    "COOKIE",
    "a=1",
    "Cookie",
    "b=2",
    "X-Vestibule-Proxy-Token",
    "vstp_x",
  ];
  expect(read({ host: "App.Example.com", method: "PURGE", target: "/a/%2e?b?c=/d", lines })).toEqual({
    frontdoorId: request.frontdoorId,
    host: "app.example.com",
    method: "PURGE",
    target: "/a/%2e?b?c=/d",
    path: "/a/%2e",
    headers: ["accept", "text/html", "cookie", "a=1", "cookie", "b=2"],
    clientAddress: "198.51.100.7",
    requestId: "r1",
    userAgent: "test",
  });
});

describe("a host", () => {
  it.each([
    ["https", "app.test", "app.test"],
    ["https", "APP.TEST", "app.test"],
    ["https", "app.test:443", "app.test"],
    ["wss", "app.test:443", "app.test"],
    ["http", "app.test:80", "app.test"],
    ["ws", "app.test:80", "app.test"],
    ["https", "app.test:80", "app.test:80"],
    ["http", "app.test:443", "app.test:443"],
    [undefined, "app.test:443", "app.test:443"],
    ["https", "app.test:8443", "app.test:8443"],
    ["https", "192.0.2.1", "192.0.2.1"],
    ["https", "app.test.", "app.test."],
    ["https", "a".repeat(253), "a".repeat(253)],
  ])("by %s, %s, is %s", (scheme, host, expected) => {
    expect(read({ scheme, host })).toMatchObject({ host: expected });
  });

  it.each([
    "",
    "app.test:",
    "app.test:0",
    "app.test:0443",
    "app.test:123456",
    "app.test:http",
    "app.test, evil.test",
    "app.test evil.test",
    "a@app.test",
    "app.test/x",
    "app.test\\x",
    "app.test?x",
    "app.test#x",
    "[::1]",
    "app_test",
    "*.app.test",
    "%61pp.test",
    "\u00e4pp.test",
    // KELVIN SIGN, which is a k in lower case.
    "\u212app.test",
    " app.test",
    "app.test\t",
    "app.test\r\nx: y",
    "app.test\u0000",
    "a".repeat(254),
  ])("is never %j", (host) => {
    expect(read({ host })).toBe("MALFORMED_ASK");
  });

  it.each(["", "HTTPS", "ftp", "https, http", "https://", "javascript"])("does not come by %j", (scheme) => {
    expect(read({ scheme })).toBe("MALFORMED_ASK");
  });
});

describe("a target", () => {
  it.each(["/", "//", "/a", "/a%", "/a%zz", "/%00", "/%23", "/%5c", "/../x", "/;a=b", "/?", '/"<>^`{|}~'])(
    "is taken as it is: %s",
    (target) => {
      expect(read({ target })).toMatchObject({ target, path: target.split("?", 1)[0] });
    },
  );

  it.each([
    "",
    "*",
    "a",
    "?a",
    "http://other.test/abs",
    "https://app.test",
    "/public#/admin",
    "/a?b#c",
    "/a\\b",
    "/a b",
    "/a\tb",
    "/a\u0000",
    "/a\u007f",
    "/\u00fc",
    "/a\r\nX: y",
    "/a\n",
  ])("is never %j", (target) => {
    expect(read({ target })).toBe("MALFORMED_ASK");
  });
});

describe("a method", () => {
  it.each(["GET", "get", "FOO", "M-SEARCH", "a".repeat(64)])("may be %s", (method) => {
    expect(read({ method })).toMatchObject({ method });
  });

  it.each([
    "CONNECT",
    "TRACE",
    "connect",
    "Trace",
    "",
    "GET ",
    "GET, POST",
    "G\u00cbT",
    "G:T",
    "a".repeat(65),
  ])("may not be %j", (method) => {
    expect(read({ method })).toBe("METHOD_REFUSED");
  });
});

describe("a visitor's headers", () => {
  it.each([
    "X-Vestibule-Subject",
    "x-vestibule-subject",
    "X_Vestibule_Subject",
    "X.Vestibule.Email",
    "x-Vestibule_Groups",
    "X-VESTIBULE-ASSERTION",
    "X-Vestibule-Anything",
    "X-Vestibule-",
    "X-Vestibule-Reason",
    "X_Vestibule_Proxy_Token",
    "X-Vestibule-Proxy_Token",
    "X-Vestibule-Proxy-Token2",
    "X~Vestibule~Subject",
    "x+vestibule-subject",
    "X|Vestibule!Email",
    "X-Vestibule'Subject",
  ])("do not contain %s", (name) => {
    expect(withLines("Accept", "*/*", name, "")).toBe("FORGED_IDENTITY");
  });

  it.each([
    "X-Vestibule",
    "X-Vestibules",
    "Y-Vestibule-Subject",
    "X--Vestibule-Subject",
    "XVestibule-Subject",
  ])("may contain %s, which no app takes for one of the gate's", (name) => {
    expect(withLines(name, "x")).toMatchObject({ headers: [name.toLowerCase(), "x"] });
  });

  it.each(["h2c", "websocket, h2c", "h2c, websocket", "TLS/1.0", "websocket/13", ""])(
    "do not ask for an upgrade to %j",
    (upgrade) => {
      expect(withLines("Connection", "Upgrade", "Upgrade", upgrade)).toBe("UPGRADE_REFUSED");
    },
  );

  it("may ask for one to WebSocket, but not for another beside it", () => {
    expect(withLines("upgrade", "WebSocket")).toMatchObject({ headers: ["upgrade", "WebSocket"] });
    expect(withLines("Upgrade", "websocket", "Upgrade", "h2c")).toBe("UPGRADE_REFUSED");
  });
});

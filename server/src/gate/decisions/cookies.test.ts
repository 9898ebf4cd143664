import { expect, test } from "vitest";
import { toAsk } from "../test-support.ts";
import { stripOwnCookies } from "./cookies.ts";

const strip = (cookie: string | readonly string[]) =>
  stripOwnCookies(toAsk({ cookie }).headers, (value) => value === "ours");

test.each([
  ["a=1; __Host-vestibule=x; b=2", "a=1; b=2"],
  ["__Host-vestibule=x", ""],
  ["vestibule_gate=x;vestibule_flow=y;a=1", "a=1"],
  ["__Host-vestibule-flow=x; __Host-vestibule-bind=y; a=1", "a=1"],
  ["sid=ours; a=1", "a=1"],
  ["sid=ours; sid=theirs", "sid=theirs"],
])("takes this service's cookies out: %s", (cookie, expected) => {
  expect(strip(cookie)).toBe(expected);
});

test.each(["a=1", "sid=theirs; a=1", "my-vestibule=1; vestibule=2", "xsid=ours", ""])(
  "leaves the app's as they are: %s",
  (cookie) => {
    expect(strip(cookie)).toBeUndefined();
  },
);

test("several lines become one", () => {
  expect(strip(["a=1; sid=ours", "b=2"])).toBe("a=1; b=2");
  expect(strip(["a=1", "b=2"])).toBeUndefined();
});

import { describe, expect, it } from "vitest";
import { isFormType, readForm } from "./oauth-endpoint.ts";

const read = (text: string) => Object.fromEntries(readForm(Buffer.from(text)));

describe("readForm", () => {
  it.each<[string, Record<string, string>]>([
    ["a=1&b=2", { a: "1", b: "2" }],
    ["a=1%202+3&b=%C3%A9", { a: "1 2 3", b: "é" }],
    ["a=x=y", { a: "x=y" }],
    ["a=&b&c=3", { c: "3" }],
    ["&&a=1&", { a: "1" }],
    ["", {}],
    ["=1", { "": "1" }],
    ["%61=1", { a: "1" }],
    ["__proto__=1", Object.fromEntries([["__proto__", "1"]])],
  ])("reads %j", (text, fields) => {
    expect(read(text)).toEqual(fields);
  });

  it.each([
    ["a repeated field", "a=1&a=1"],
    ["a repeated field, once empty", "a=&a=1"],
    ["a repeated field, once escaped", "a=1&%61=1"],
    ["half an escape", "a=%4"],
    ["an escape that is none", "a=%zz"],
    ["escapes that are not UTF-8", "a=%ff"],
    ["33 fields", Array.from({ length: 33 }, (_, i) => `f${i}=1`).join("&")],
  ])("refuses %s", (_, text) => {
    expect(() => read(text)).toThrow(expect.objectContaining({ reason: "INVALID_REQUEST" }));
  });

  it("reads 32 fields", () => {
    const text = Array.from({ length: 32 }, (_, i) => `f${i}=1`).join("&");
    expect(Object.keys(read(text))).toHaveLength(32);
  });
});

describe("isFormType", () => {
  it.each([
    ["application/x-www-form-urlencoded", true],
    ["Application/X-WWW-Form-URLEncoded; charset=UTF-8", true],
    ['application/x-www-form-urlencoded;charset="utf-8"', true],
    ["application/x-www-form-urlencoded; charset=utf-16", false],
    ["application/x-www-form-urlencodedx", false],
    ["application/json", false],
    ["multipart/form-data", false],
    ["", false],
    [undefined, false],
  ])("%j: %s", (type, expected) => {
    expect(isFormType(type)).toBe(expected);
  });
});

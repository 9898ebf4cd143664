import { expect, it } from "vitest";
import { toHeaderList, toHeaderValue } from "./header-values.ts";

it.each([
  ["", ""],
  ["Ann Smith", "Ann Smith"],
  ["ann@example.com", "ann@example.com"],
  ["!\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~", "!\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~"],
  ["100%", "100%25"],
  ["%C3%BC", "%25C3%25BC"],
  ["\u00fc", "%C3%BC"],
  ["J\u00fcrgen \ud83d\ude00", "J%C3%BCrgen %F0%9F%98%80"],
  [" a ", "%20a%20"],
  ["  ", "%20%20"],
  [" ", "%20"],
  ["a\r\nX-Vestibule-Email: b", "a%0D%0AX-Vestibule-Email: b"],
  ["a\tb\u0000\u007f", "a%09b%00%7F"],
  ["\u2028\u00a0", "%E2%80%A8%C2%A0"],
  ["\ud800", "%ED%A0%80"],
  ["\udc00\ud800", "%ED%B0%80%ED%A0%80"],
])("%j is %s", (text, value) => {
  expect(toHeaderValue(text)).toBe(value);
});

it.each([
  [[], ""],
  [["a"], "a"],
  [["a", "b c"], "a,b c"],
  [["a,b", "c"], "a%2Cb,c"],
  [["a%2Cb", "c"], "a%252Cb,c"],
  [["", "a", ""], "a"],
  [[" a", "b "], "%20a,b%20"],
  [["\u00fc", "\n"], "%C3%BC,%0A"],
])("the list %j is %s", (texts, value) => {
  expect(toHeaderList(texts)).toBe(value);
});

it("makes one value of no two texts, and nothing that a header cannot hold", () => {
  const pieces = ["a", " ", "%", ",", "2C", "20", "\u00fc", "C3", "\ud83d", "\ude00", "\r\n", "\t", "\u0000"];
  const texts = new Set<string>();
  const values = new Set<string>();
  let seed = 1;
  const pick = () => {
    seed = (seed * 48_271) % 0x7fff_ffff;
    return pieces[seed % pieces.length] ?? "";
  };
  for (let i = 0; i < 20_000; i++) {
    const text = Array.from({ length: (seed % 6) + 1 }, pick).join("");
    const value = toHeaderValue(text);
    expect(value).toMatch(/^[!-~](?:[ -~]*[!-~])?$/);
    texts.add(text);
    values.add(value);
  }
  expect(values.size).toBe(texts.size);
});

it("takes no longer for a text of many spaces than for another", () => {
  const spaces = " ".repeat(200_000);
  expect(toHeaderValue(`a${spaces}%`)).toBe(`a${spaces}%25`);
  expect(toHeaderValue(`${spaces}a${spaces}`)).toHaveLength(400_005);
  expect(toHeaderList([`a${spaces},b`])).toBe(`a${spaces}%2Cb`);
});

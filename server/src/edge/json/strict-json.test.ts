import { describe, expect, it } from "vitest";
import { DomainError } from "../../lib/errors.ts";
import { parseStrictJson } from "./strict-json.ts";

function parse(text: string): unknown {
  return parseStrictJson(Buffer.from(text));
}

function refusalOf(text: string): string {
  try {
    parse(text);
  } catch (error) {
    if (error instanceof DomainError) return error.message;
    throw error;
  }
  throw new Error("it was taken");
}

describe("strict JSON", () => {
  it.each([
    "{}",
    " [ ] ",
    "null",
    "-0.5e+1",
    '"a\\"b\\\\"',
    '{"a":{"b":1},"c":{"b":1}}',
    '[{"a":1},{"a":1}]',
    '{"a":["a","a"],"b":"a"}',
    '{"":1}',
    '{"\\"":1,"\\\\":2,"\\\\\\"":3}',
    '{"a":"\\ud83d\\ude00"}',
    '{"a,b":"{","c}":"]"}',
  ])("takes %s", (text) => {
    expect(parse(text)).toEqual(JSON.parse(text));
  });

  it.each([
    ['{"a":1,"a":1}', "Value for a is given more than once"],
    ['{"a":1,"b":{},"a":{}}', "Value for a is given more than once"],
    ['[1,{"b":[0,{"c":1,"c":2}]}]', "Value for [1].b[1].c is given more than once"],
    ['{"a\\\\":1,"a\\u005c":1}', "Value for a\\ is given more than once"],
    ['{"":1,"":1}', "Value for body is given more than once"],
    ['{"a":{"__proto__":1}}', "Value for a.__proto__ is not expected"],
    ['["\\udc00"]', "Value for [0] must be valid Unicode text"],
    ["{'a':1}", "request body is not valid JSON"],
    ["", "request body is not valid JSON"],
    ["[1,]", "request body is not valid JSON"],
    ["[1 2]", "request body is not valid JSON"],
    ["[01]", "request body is not valid JSON"],
    ["[1.]", "request body is not valid JSON"],
    ["[+1]", "request body is not valid JSON"],
    ["[nulls]", "request body is not valid JSON"],
    ['{"a" 1}', "request body is not valid JSON"],
    ['{"a":1 "b":2}', "request body is not valid JSON"],
    ['{,"a":1}', "request body is not valid JSON"],
    ["{a:1}", "request body is not valid JSON"],
    ['"a\nb"', "request body is not valid JSON"],
    ['"a\\x"', "request body is not valid JSON"],
    ['"a', "request body is not valid JSON"],
    ['"a\\"', "request body is not valid JSON"],
    ["\u00a0{}", "request body is not valid JSON"],
    ['{"a":[1e400]}', "Value for a[0] must be a number within the range of a double"],
  ])("refuses %s", (text, message) => {
    expect(refusalOf(text)).toBe(message);
  });

  it("takes 50000 values, however they are nested, and stops at one more", () => {
    const list = (length: number) => `[${Array(length).fill("1").join()}]`;
    expect(parse(list(49_999))).toHaveLength(49_999);
    expect(refusalOf(list(50_000))).toBe("request body has more than 50000 values");
    const objects = (length: number) => `[${Array(length).fill('{"a":1}').join()}]`;
    expect(parse(objects(24_999))).toHaveLength(24_999);
    expect(refusalOf(objects(25_000))).toBe("request body has more than 50000 values");
  });

  it("reads keys of one escaped character, whatever other keys there are", () => {
    for (let round = 0; round < 100; round++) {
      for (const key of ["\\", '"', "\n", "a"]) {
        expect(
          Object.keys(parse(`{"{":1,"\\u${key.charCodeAt(0).toString(16).padStart(4, "0")}":1}`) as object),
        ).toEqual(["{", key]);
      }
    }
  });

  it("is quick with many quotes and backslashes", () => {
    const text = JSON.stringify({ a: '"\\'.repeat(100_000), b: Array(49_000).fill("") });
    expect(parse(text)).toEqual(JSON.parse(text));
  });
});

/** A generator of numbers below 1 that is the same on every run. */
function createRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

describe("against JSON.parse", () => {
  it("agrees on random texts: takes what has no doubled key, and gives the same value", () => {
    const random = createRandom(7);
    const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T;
    // No key of one escaped character: JSON.parse itself may go wrong with it, as the tests before have seen others.
    const strings = ["a", "b", "", "\\\\", 'a"', "{", ",", "é", "😀", "__proto_", "\u0001a"];
    const text = (depth: number): string => {
      const kind = depth > 4 ? 0 : random();
      if (kind < 0.4) return pick(["1", "-2.5e3", "true", "null", JSON.stringify(pick(strings))]);
      const size = Math.floor(random() * 4);
      const items = Array.from({ length: size }, () => text(depth + 1));
      if (kind < 0.7) return `[${items.join(pick([",", " , "]))}]`;
      return `{${items.map((item) => `${JSON.stringify(pick(strings))}:${item}`).join(",")}}`;
    };
    const hasDoubledKey = (sent: string) => {
      // A parser of another kind: counts the keys, which JSON.parse drops when they come again.
      const kept = JSON.stringify(JSON.parse(sent));
      const count = (value: string) =>
        [...value.matchAll(/"(?:[^"\\]|\\.)*"(\s*:)?/g)].filter(([, colon]) => colon !== undefined).length;
      return count(sent) !== count(kept);
    };
    let doubled = 0;
    for (let round = 0; round < 5_000; round++) {
      const sent = text(0);
      if (hasDoubledKey(sent)) {
        doubled++;
        expect(refusalOf(sent)).toMatch(/is given more than once/);
      } else {
        expect(parse(sent)).toEqual(JSON.parse(sent));
      }
    }
    expect(doubled).toBeGreaterThan(100);
  });

  it("never throws anything but a refusal", () => {
    const random = createRandom(11);
    const alphabet = '{}[]",:\\u0dn1e-. \n"""{{';
    for (let round = 0; round < 20_000; round++) {
      const length = Math.floor(random() * 12);
      const sent = Array.from({ length }, () => alphabet[Math.floor(random() * alphabet.length)]).join("");
      let expected: unknown;
      try {
        expected = JSON.parse(sent);
      } catch {
        expect(refusalOf(sent)).toBe("request body is not valid JSON");
        continue;
      }
      try {
        expect(parse(sent)).toEqual(expected);
      } catch (error) {
        expect(error).toBeInstanceOf(DomainError);
      }
    }
  });
});

import { describe, expect, it } from "vitest";
import { toShownText } from "./shown-text.ts";

const secret = "aSecret~with/some+signs=";
const show = (text: string) => toShownText(text, [secret, ""], 200);

describe("a provider's words", () => {
  it.each([
    ["as they are", "Invalid client secret provided.", "Invalid client secret provided."],
    ["on one line", " a\r\nlevel=error\tb\u0000\u202e ", "a level=error b"],
    ["of any script", "認証に失敗しました", "認証に失敗しました"],
    [
      "with an address, and what it is for",
      "redirect_uri https://id.example.org/auth/callback/google is not registered",
      "redirect_uri https://id.example.org/auth/callback/google is not registered",
    ],
    [
      "without what an address carries",
      "see https://x.example/e?code=abc&state=d",
      "see https://x.example/e?…",
    ],
    ["without a secret", `secret ${secret} is wrong`, "secret … is wrong"],
    ["without a part of one", `secret '${secret.slice(3, 14)}...' is wrong`, "secret … is wrong"],
    ["without one that is encoded", `secret=${encodeURIComponent(secret)}`, "…"],
    ["without one in an address", `https://x.example/${secret}/e`, "…"],
    ["without what looks like a token", `token ${"eyJhbGciOi".repeat(5)}`, "token …"],
  ])("are shown %s", (_name, text, shown) => {
    expect(show(text)).toBe(shown);
  });

  it("are cut, at whole characters", () => {
    expect(toShownText("word ".repeat(100), [], 20)).toBe("word word word word…");
    expect(toShownText("😀 ".repeat(500_000), [], 3).isWellFormed()).toBe(true);
  });
});

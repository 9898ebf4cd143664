import { describe, expect, it } from "vitest";
import { fromPageToken, toPage, toPageToken } from "./page-token.ts";

const list = ["ListUsers", "enabled"];

describe("page tokens", () => {
  it("lead back to their position in the same list", () => {
    expect(fromPageToken(list, toPageToken(list, ["a", 1]), ["text", "integer"])).toEqual(["a", 1]);
    expect(fromPageToken(list, toPageToken(list, ["", -1]), ["text", "integer"])).toEqual(["", -1]);
    expect(fromPageToken(list, "", ["text"])).toBeUndefined();
  });

  it.each([
    ["another filter", toPageToken(["ListUsers", "disabled"], ["a"])],
    ["another method", toPageToken(["ListProjects", "enabled"], ["a"])],
    ["garbage", "%%%"],
    ["an object", Buffer.from("{}").toString("base64url")],
    ["nested values", Buffer.from('[["a"]]').toString("base64url")],
    ["a number for a text", toPageToken(list, [1])],
    ["a text that Postgres cannot hold", toPageToken(list, ["a\0"])],
    ["a text with half a character", toPageToken(list, ["\ud800"])],
    ["no position", toPageToken(list, [])],
    ["a longer position", toPageToken(list, ["a", "b"])],
  ])("refuse %s", (_name, token) => {
    expect(() => fromPageToken(list, token, ["text"])).toThrow(
      "page_token: must be the next_page_token of the same list",
    );
  });

  it.each(["1", 1.5, 1e300, Number.MAX_SAFE_INTEGER + 1])("refuse %j for a whole number", (part) => {
    expect(() => fromPageToken(list, toPageToken(list, [part]), ["integer"])).toThrow("page_token");
  });

  it("are empty on the last page, also when it is full", () => {
    const position = (row: string) => [row];
    expect(toPage(["a", "b"], 2, list, position)).toEqual({ items: ["a", "b"], nextPageToken: "" });
    expect(toPage([], 2, list, position)).toEqual({ items: [], nextPageToken: "" });
    const page = toPage(["a", "b", "c"], 2, list, position);
    expect(page.items).toEqual(["a", "b"]);
    expect(fromPageToken(list, page.nextPageToken, ["text"])).toEqual(["b"]);
  });
});

import { describe, expect, it } from "vitest";
import { parsePathTemplate } from "./path-template.ts";
import { splitRequestPath } from "./request-target.ts";
import { RouteTable } from "./route-table.ts";

function tableOf(...routes: readonly string[]): RouteTable<string> {
  const table = new RouteTable<string>();
  for (const route of routes) {
    const [method = "", template = ""] = route.split(" ");
    table.add(method, parsePathTemplate(template), route);
  }
  return table;
}

function find(table: RouteTable<string>, method: string, path: string) {
  const split = splitRequestPath(path);
  return split && table.find(method, split);
}

function targetOf(table: RouteTable<string>, method: string, path: string): string | undefined {
  const match = find(table, method, path);
  return match?.kind === "route" ? match.target : undefined;
}

describe("the most literal route answers", () => {
  const table = tableOf(
    "GET /a/{x}",
    "GET /a/b",
    "GET /a/{x}/c",
    "GET /a/b/{y}",
    "GET /a/**",
    "GET /{x}/b/d",
    "GET /a/b:v",
    "GET /a/{x}:v",
  );
  it.each([
    ["/a/b", "GET /a/b"],
    ["/a/z", "GET /a/{x}"],
    ["/a/z/c", "GET /a/{x}/c"],
    ["/a/b/c", "GET /a/b/{y}"],
    ["/a/b/d", "GET /a/b/{y}"],
    ["/z/b/d", "GET /{x}/b/d"],
    ["/a/z/d", "GET /a/**"],
    ["/a/b/c/d", "GET /a/**"],
    ["/a", "GET /a/**"],
    ["/a/b:v", "GET /a/b:v"],
    ["/a/z:v", "GET /a/{x}:v"],
    ["/a/z:w", undefined],
    ["/b", undefined],
  ])("%s → %s", (path, target) => {
    expect(targetOf(table, "GET", path)).toBe(target);
  });
});

describe("HTTP methods", () => {
  const table = tableOf(
    "GET /a",
    "POST /a",
    "PUT /{x}",
    "GET /b/{x}",
    "POST /b/c",
    "* /d",
    "HEAD /e",
    "GET /e",
  );

  it("fall through to a less literal route that has them", () => {
    expect(targetOf(table, "PUT", "/a")).toBe("PUT /{x}");
    expect(targetOf(table, "GET", "/b/c")).toBe("GET /b/{x}");
  });

  it("are HEAD where there is GET, unless it has a route of its own", () => {
    expect(targetOf(table, "HEAD", "/a")).toBe("GET /a");
    expect(targetOf(table, "HEAD", "/e")).toBe("HEAD /e");
  });

  it("are all taken by *", () => {
    for (const method of ["GET", "HEAD", "X"]) expect(targetOf(table, method, "/d")).toBe("* /d");
  });

  it("are named when there is another, those of all that fit", () => {
    expect(find(table, "DELETE", "/a")).toMatchObject({
      kind: "method",
      allow: ["GET", "HEAD", "POST", "PUT"],
    });
    expect(find(table, "DELETE", "/b/c")).toMatchObject({ kind: "method", allow: ["GET", "HEAD", "POST"] });
    expect(find(table, "get", "/a")).toMatchObject({ kind: "method" });
  });
});

describe("conflicts", () => {
  it.each([
    ["GET /a", "GET /a"],
    ["GET /{x}", "GET /{y}"],
    ["GET /{x=a/*}", "GET /a/{y}"],
    ["GET /a/**", "GET /a/{y=**}"],
    ["* /a:v", "* /a:v"],
  ])("%s and %s", (one, other) => {
    expect(() => tableOf(one, other)).toThrow(/are one route/);
  });

  it.each([
    ["GET /a", "POST /a"],
    ["GET /a", "GET /a:v"],
    ["GET /a", "GET /{x}"],
    ["GET /a", "* /a"],
    ["GET /*", "GET /**"],
  ])("none between %s and %s", (one, other) => {
    expect(() => tableOf(one, other)).not.toThrow();
  });
});

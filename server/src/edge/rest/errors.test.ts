import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, it } from "vitest";
import { DomainError } from "../../lib/errors.ts";
import { restErrors, restReasons, toRestError } from "./errors.ts";

describe("docs/rest.md", () => {
  it("lists every refusal with its status, and no other", () => {
    const page = readFileSync(join(import.meta.dirname, "../../../../docs/rest.md"), "utf8");
    const rows = [...page.matchAll(/^\| `([a-z_]+)` \| (\d+) \| (.+) \|$/gm)];
    const listed = rows.flatMap(([, error, status, causes = ""]) =>
      [...causes.matchAll(/`(\w+)`/g)].map(([, cause]) => `${cause} ${error} ${status}`),
    );
    const known = Object.entries({ ...restErrors, ...restReasons }).map(
      ([cause, { error, status }]) => `${cause} ${error} ${status}`,
    );
    expect(listed.toSorted()).toEqual(known.toSorted());
  });
});

describe("a refusal", () => {
  it("names the methods there are, and how long to wait", () => {
    const refused = toRestError(new DomainError("METHOD_NOT_ALLOWED"), {
      style: "vestibule",
      allow: ["GET", "HEAD"],
    });
    expect(refused).toMatchObject({ status: 405, headers: { allow: "GET, HEAD" } });
    const later = new DomainError("UNAVAILABLE", { retryAfterSeconds: 3 });
    expect(toRestError(later, { style: "frontier" })).toEqual({
      status: 503,
      headers: { "retry-after": "3" },
      body: { code: "unavailable", message: "temporarily unavailable, try again" },
    });
  });

  it("tells a call that was cut short", () => {
    const late = new ConnectError("deadline exceeded", Code.DeadlineExceeded);
    expect(toRestError(late, { style: "vestibule" })).toMatchObject({ status: 504 });
    expect(toRestError(late, { style: "frontier" }).body).toEqual({
      code: "deadline_exceeded",
      message: "deadline exceeded",
    });
    expect(toRestError(new ConnectError("canceled", Code.Canceled), { style: "vestibule" }).status).toBe(499);
  });
});

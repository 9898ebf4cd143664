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

  it("of a token for its time alone says what both clocks say, and of another nothing", () => {
    const clocks = { token_expired_at: "2026-01-01T00:00:00Z", server_time: "2026-01-01T00:01:01Z" };
    const why =
      "the token expired at 2026-01-01T00:00:00Z, this server's clock says 2026-01-01T00:01:01Z: get a new one, or, if it is new, set the clocks";
    const expired = new DomainError("NOT_AUTHENTICATED", { metadata: clocks });
    expect(toRestError(expired, { style: "vestibule" })).toEqual({
      status: 401,
      headers: {
        "www-authenticate": `Bearer realm="vestibule", error="invalid_token", error_description="${why}", Basic realm="vestibule", charset="UTF-8"`,
      },
      body: {
        error: "unauthorized",
        message: "Bearer token is missing or invalid",
        details: [{ field: "token", description: why }],
      },
    });
    const early = { token_valid_from: "2026-01-01T00:00:00Z", server_time: "2025-12-31T23:00:00Z" };
    const { body } = toRestError(new DomainError("NOT_AUTHENTICATED", { metadata: early }), {
      style: "vestibule",
    });
    expect(body.details).toMatchObject([{ description: expect.stringMatching(/becomes valid at 2026/) }]);
    expect(toRestError(new DomainError("NOT_AUTHENTICATED"), { style: "vestibule" })).toEqual({
      status: 401,
      headers: { "www-authenticate": 'Bearer realm="vestibule", Basic realm="vestibule", charset="UTF-8"' },
      body: { error: "unauthorized", message: "Bearer token is missing or invalid" },
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

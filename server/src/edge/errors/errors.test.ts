import { Code } from "@connectrpc/connect";
import { codeToString } from "@connectrpc/connect/protocol-connect";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  RetryInfoSchema,
} from "@vestibule/proto/google/rpc/error_details_pb";
import { describe, expect, it } from "vitest";
import { DomainError, type Reason, reasons } from "../../lib/errors.ts";
import { toConnectError, toDomainError, toOauthError, toPlainError, wireErrors } from "./errors.ts";

describe("wireErrors", () => {
  it.each(Object.entries(wireErrors))("%s has the Connect code of its name", (kind, { connect }) => {
    expect(codeToString(connect)).toBe(kind);
  });
});

describe("toConnectError", () => {
  it.each(Object.keys(reasons) as Reason[])("gives %s its code, text and ErrorInfo", (reason) => {
    const [kind, text] = reasons[reason];
    const error = toConnectError(new DomainError(reason));
    expect(codeToString(error.code)).toBe(kind);
    expect(error.rawMessage).toBe(text);
    expect(error.findDetails(ErrorInfoSchema)).toMatchObject([{ reason, domain: "vestibule" }]);
    expect(error.details).toHaveLength(1);
  });

  it("carries what a client needs to go on, in the ErrorInfo", () => {
    const metadata = { strategy_name: "mailotp", state: "s" };
    const [info] = toConnectError(new DomainError("LINK_REQUIRED", { metadata })).findDetails(
      ErrorInfoSchema,
    );
    expect(info).toMatchObject({ reason: "LINK_REQUIRED", metadata });
  });

  it("carries violations and the wait", () => {
    const error = toConnectError(
      new DomainError("INVALID_REQUEST", {
        violations: [{ field: "body.title", description: "too long" }],
        retryAfterSeconds: 3,
      }),
    );
    expect(error.findDetails(BadRequestSchema)[0]?.fieldViolations).toMatchObject([
      { field: "body.title", description: "too long" },
    ]);
    expect(error.findDetails(RetryInfoSchema)[0]?.retryDelay?.seconds).toBe(3n);
    expect(error.metadata.get("retry-after")).toBe("3");
  });

  it("keeps the detail for operators to itself", () => {
    const error = toConnectError(new DomainError("NOT_AUTHENTICATED", { detail: "expired yesterday" }));
    const shown = [error.message, ...error.details.map((detail) => JSON.stringify(detail.value))].join();
    expect(shown).toContain("NOT_AUTHENTICATED");
    expect(shown).not.toContain("yesterday");
  });
});

describe("toDomainError", () => {
  it("hides every other error behind a fixed text", () => {
    const error = toDomainError(new TypeError("password hunter2"));
    expect(error).toMatchObject({ reason: "INTERNAL", message: "internal server error" });
    expect(toConnectError(error).code).toBe(Code.Internal);
  });
});

describe("toPlainError", () => {
  it("has Connect's shape and status", () => {
    expect(toPlainError(new DomainError("NOT_AUTHENTICATED"))).toEqual({
      status: 401,
      headers: {},
      body: { code: "unauthenticated", message: "not authenticated" },
    });
  });

  it("says 413 for what is too large, and 429 for what is too often", () => {
    expect(toPlainError(new DomainError("REQUEST_TOO_LARGE")).status).toBe(413);
    expect(wireErrors.resource_exhausted.http).toBe(429);
  });

  it("names fields and waits", () => {
    const violations = [{ field: "id", description: "must be a UUID" }];
    const answer = toPlainError(new DomainError("INVALID_REQUEST", { violations, retryAfterSeconds: 9 }));
    expect(answer).toMatchObject({ headers: { "retry-after": "9" }, body: { details: violations } });
  });
});

describe("toOauthError", () => {
  it.each([
    ["NOT_AUTHENTICATED", 401, "invalid_client"],
    ["PRINCIPAL_DISABLED", 401, "invalid_client"],
    ["ORGANIZATION_DISABLED", 401, "invalid_client"],
    ["UNSUPPORTED_GRANT_TYPE", 400, "unsupported_grant_type"],
    ["INVALID_REQUEST", 400, "invalid_request"],
    ["INVALID_GRANT", 400, "invalid_grant"],
    ["METHOD_NOT_ALLOWED", 405, "invalid_request"],
    ["REQUEST_TOO_LARGE", 413, "invalid_request"],
    ["UNAVAILABLE", 503, "temporarily_unavailable"],
    ["INTERNAL", 500, "server_error"],
  ] as const)("%s is %i %s, never cached", (reason, status, error) => {
    const answer = toOauthError(new DomainError(reason));
    expect(answer).toMatchObject({ status, body: { error, error_description: reasons[reason][1] } });
    expect(answer.headers["cache-control"]).toBe("no-store");
    expect("www-authenticate" in answer.headers).toBe(status === 401);
  });

  it("states both clocks where a token or assertion is refused for its time alone", () => {
    const metadata = { assertion_expires_at: "2026-01-01T00:00:00Z", server_time: "2026-01-01T00:01:00Z" };
    expect(toOauthError(new DomainError("INVALID_GRANT", { metadata })).body).toEqual({
      error: "invalid_grant",
      error_description:
        "not authenticated: assertion expires at 2026-01-01T00:00:00Z, this server's clock says 2026-01-01T00:01:00Z",
    });
  });
});

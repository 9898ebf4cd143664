import { describe, expect, it } from "vitest";
import { EgressError } from "../egress/egress-error.ts";
import { DomainError } from "../lib/errors.ts";
import { asking, ProviderFailure, toRefused } from "./provider-failure.ts";

const at = "token_endpoint";
const secrets = ["theClientSecret", undefined];

/** What is made of an error. */
const read = (error: unknown) =>
  asking({ at, secrets }, () => Promise.reject(error)).catch((failure) => failure);

const fromLibrary = (code: string, fields: object, cause?: unknown) =>
  Object.assign(new Error("said to everybody", { cause }), { code, ...fields });

describe("an error", () => {
  it.each<[string, unknown, object]>([
    [
      "of a time-out",
      new EgressError("timeout", "id.example.com", "no full answer within 8 s"),
      {
        verdict: "later",
        message: `${at}: id.example.com: no full answer within 8 s`,
        findings: { cause: "timeout", at },
      },
    ],
    [
      "of TLS, below what the library says",
      new Error("x", {
        cause: new EgressError("tls", "id.example.com", "no trusted TLS connection (CERT_HAS_EXPIRED)"),
      }),
      { verdict: "proves_nothing", findings: { cause: "tls", at } },
    ],
    [
      "of a name that is unknown",
      new EgressError("dns", "x", "x"),
      { verdict: "later", findings: { cause: "dns", at } },
    ],
    ["of an address inside", new EgressError("blocked", "x", "x"), { verdict: "proves_nothing" }],
    [
      "of a status",
      new EgressError("status", "x", "answered 404", undefined, 404),
      { verdict: "refused", message: `${at} answered 404`, findings: { cause: "status", at, status: "404" } },
    ],
    ["of a server that fails", new EgressError("status", "x", "x", undefined, 503), { verdict: "later" }],
    [
      "of one that is asked too often",
      new EgressError("status", "x", "x", undefined, 429),
      { verdict: "later" },
    ],
    [
      "of a body",
      fromLibrary("OAUTH_RESPONSE_BODY_ERROR", {
        error: "invalid_client",
        error_description: "the secret theClientSecret\nis wrong",
      }),
      {
        verdict: "refused",
        message: `${at} answered invalid_client (the secret … is wrong)`,
        findings: { cause: "refused", at, error: "invalid_client", description: "the secret … is wrong" },
      },
    ],
    [
      "of a code that is used",
      fromLibrary("OAUTH_RESPONSE_BODY_ERROR", { error: "invalid_grant" }),
      { verdict: "anew" },
    ],
    [
      "of a server that fails, in a body",
      fromLibrary("OAUTH_RESPONSE_BODY_ERROR", { error: "oops", status: 500 }),
      { verdict: "later", findings: { error: "oops", status: "500" } },
    ],
    [
      "of a server's moment",
      fromLibrary("OAUTH_RESPONSE_BODY_ERROR", { error: "server_error" }),
      { verdict: "later" },
    ],
    [
      "that is none",
      fromLibrary("OAUTH_RESPONSE_BODY_ERROR", { error: "<b>" }),
      { verdict: "refused", findings: { cause: "refused", at, error: "an error that cannot be shown" } },
    ],
    [
      "in a challenge",
      fromLibrary("OAUTH_WWW_AUTHENTICATE_CHALLENGE", { status: 401 }, [
        { parameters: { error: "invalid_token" } },
      ]),
      { verdict: "refused", findings: { cause: "refused", at, error: "invalid_token" } },
    ],
    [
      "by a challenge that says nothing",
      fromLibrary("OAUTH_WWW_AUTHENTICATE_CHALLENGE", { status: 401 }, [{ parameters: {} }]),
      { verdict: "refused", findings: { cause: "status", at, status: "401" } },
    ],
    [
      "of a claim",
      fromLibrary(
        "OAUTH_JWT_CLAIM_COMPARISON_FAILED",
        {},
        new Error("x", { cause: { claim: "aud", expected: "us", claims: { aud: ["a", "b"] } } }),
      ),
      {
        verdict: "proves_nothing",
        message: "the ID token: aud is a, b, and has to be us",
        findings: { cause: "claim", at, claim: "aud", expected: "us", found: "a, b" },
      },
    ],
    [
      "of a claim that is a secret",
      fromLibrary(
        "OAUTH_JWT_CLAIM_COMPARISON_FAILED",
        {},
        new Error("x", { cause: { claim: "nonce", expected: "n", claims: { nonce: "m" } } }),
      ),
      { findings: { cause: "claim", at, claim: "nonce" } },
    ],
    [
      "of a moment",
      fromLibrary(
        "OAUTH_JWT_TIMESTAMP_CHECK_FAILED",
        {},
        new Error("x", { cause: { claim: "exp", claims: { exp: 0 }, now: 60 } }),
      ),
      {
        findings: {
          cause: "claim",
          at,
          claim: "exp",
          found: "1970-01-01T00:00:00.000Z",
          expected: "good at 1970-01-01T00:01:00.000Z, by this server's clock",
        },
      },
    ],
    [
      "of an algorithm",
      fromLibrary(
        "OAUTH_INVALID_RESPONSE",
        {},
        new Error('unexpected JWT "alg" header parameter', {
          cause: { header: { alg: "HS256" }, expected: ["RS256"] },
        }),
      ),
      {
        message: "the ID token: it is signed by HS256, and has to be by RS256",
        findings: { cause: "algorithm", found: "HS256", expected: "RS256" },
      },
    ],
    [
      "of our own reader",
      new DomainError("NOT_AUTHENTICATED", { detail: "ID token: not base64url" }),
      { verdict: "proves_nothing", message: `${at}: ID token: not base64url` },
    ],
  ])("%s has one cause", async (_name, error, expected) => {
    expect(await read(error)).toMatchObject(expected);
    expect(await read(error)).toBeInstanceOf(ProviderFailure);
  });

  it.each([
    ["a defect", new TypeError("x")],
    ["a refusal", new DomainError("CODE_MISSING")],
    ["no error", "x"],
  ])("that is the provider's is told from %s", async (_name, error) => {
    expect(await read(error)).toBe(error);
  });
});

describe("an error that a browser brings", () => {
  it.each([
    ["access_denied", "declined"],
    ["user_cancelled_authorize", "declined"],
    ["temporarily_unavailable", "later"],
    ["unauthorized_client", "refused"],
    ["invalid_scope", "refused"],
    ["invalid_grant", "refused"],
  ])("%s is %s", (error, verdict) => {
    expect(toRefused({ at: "authorization_endpoint" }, { error }).verdict).toBe(verdict);
  });
});

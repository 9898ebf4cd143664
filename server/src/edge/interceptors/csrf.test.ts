import {
  Code,
  ConnectError,
  createClient,
  createRouterTransport,
  type Interceptor,
} from "@connectrpc/connect";
import { AuthService } from "@vestibule/proto/vestibule/v1/auth_service_pb";
import { ServiceUserService } from "@vestibule/proto/vestibule/v1/service_user_service_pb";
import { beforeEach, describe, expect, it } from "vitest";
import { silentLog } from "../../lib/log.ts";
import { isVoidKey, principalKey } from "../../principals/context.ts";
import type { UserPrincipal } from "../../principals/principal.ts";
import { createTranslator } from "../errors/translate.ts";
import { createCsrfInterceptors } from "./csrf.ts";

const person: UserPrincipal = {
  type: "user",
  id: "u",
  email: "ada@example.org",
  superuser: false,
  emailProven: true,
  sessionId: "s",
  authVia: "session",
  credentialKind: "session",
};
const translator = createTranslator({ log: silentLog, bodyBytes: 1024 });
/** Only `sid=good` and `Bearer good` are anybody's, and a bad credential is overlooked. */
const prove: Interceptor = (next) => (request) => {
  const isBearer = request.header.get("authorization") === "Bearer good";
  const isSession = /sid=good/.test(request.header.get("cookie") ?? "");
  if (isBearer || isSession) {
    const credentialKind = isBearer ? "access_token" : "session";
    request.contextValues.set(principalKey, { ...person, credentialKind });
  }
  return next(request);
};
const origins = ["https://id.example.com", "https://app.example.com"];
let ended: number;
beforeEach(() => {
  ended = 0;
});

function callAs(crossSite: boolean) {
  const csrf = createCsrfInterceptors({ origins, crossSite });
  const transport = createRouterTransport(
    (router) => {
      router.service(ServiceUserService, { deleteServiceUser: () => ({}), listServiceUsers: () => ({}) });
      router.service(AuthService, {
        authToken: () => ({}),
        authenticate: () => ({}),
        authLogout: (_, { values }) => {
          if (!values.get(isVoidKey)) ended += 1;
          return {};
        },
      });
    },
    { router: { interceptors: [translator.interceptor, csrf.beforeProof, prove, csrf.afterProof] } },
  );
  return {
    serviceUsers: createClient(ServiceUserService, transport),
    auth: createClient(AuthService, transport),
  };
}
const { serviceUsers, auth } = callAs(false);
const crossing = callAs(true);

async function codeOf(call: Promise<unknown>): Promise<Code | "ok"> {
  return call.then(
    () => "ok" as const,
    (error) => ConnectError.from(error).code,
  );
}

describe("createCsrfInterceptors", () => {
  it.each([
    ["no cookie", {}, "ok"],
    ["another cookie", { cookie: "notsid=1; sidx=2" }, "ok"],
    ["the cookie alone, of no browser", { cookie: "sid=x" }, "ok"],
    [
      "the cookie among others",
      { cookie: "a=b; sid=x", origin: "https://evil.example" },
      Code.PermissionDenied,
    ],
    ["the public origin", { cookie: "sid=x", origin: "https://id.example.com" }, "ok"],
    ["an allowed origin", { cookie: "sid=x", origin: "https://app.example.com" }, "ok"],
    ["a foreign origin", { cookie: "sid=x", origin: "https://evil.example" }, Code.PermissionDenied],
    [
      "an origin in another scheme",
      { cookie: "sid=x", origin: "http://id.example.com" },
      Code.PermissionDenied,
    ],
    [
      "an origin that begins alike",
      { cookie: "sid=x", origin: "https://id.example.com.evil.example" },
      Code.PermissionDenied,
    ],
    ["the opaque origin", { cookie: "sid=x", origin: "null" }, Code.PermissionDenied],
    ["the same site's page, without origin", { cookie: "sid=x", "sec-fetch-site": "same-origin" }, "ok"],
    [
      "a sibling's page, without origin",
      { cookie: "sid=x", "sec-fetch-site": "same-site" },
      Code.PermissionDenied,
    ],
    ["a typed address", { cookie: "sid=x", "sec-fetch-site": "none" }, Code.PermissionDenied],
    [
      "a foreign origin that claims to be the same",
      { cookie: "sid=x", origin: "https://evil.example", "sec-fetch-site": "same-origin" },
      Code.PermissionDenied,
    ],
    ["a bearer token beside the cookie", { cookie: "sid=x", authorization: "Bearer t" }, "ok"],
    ["a user token beside the cookie", { cookie: "sid=x", "x-user-token": "t" }, "ok"],
  ] as const)("with %s", async (_, headers, expected) => {
    expect(await codeOf(serviceUsers.deleteServiceUser({}, { headers }))).toBe(expected);
  });

  it("lets calls without side effects be", async () => {
    expect(await codeOf(serviceUsers.listServiceUsers({}, { headers: { cookie: "sid=x" } }))).toBe("ok");
  });

  it("lets a grant be whose type selects another credential, not one that may take the cookie", async () => {
    const headers = { cookie: "sid=x", origin: "https://evil.example" };
    expect(await codeOf(auth.authToken({ grantType: "client_credentials" }, { headers }))).toBe("ok");
    expect(await codeOf(auth.authToken({}, { headers }))).toBe(Code.PermissionDenied);
  });

  it("refuses the cookie alone where browsers send it along with what other sites ask for", async () => {
    const headers = { cookie: "sid=x" };
    expect(await codeOf(crossing.serviceUsers.deleteServiceUser({}, { headers }))).toBe(
      Code.PermissionDenied,
    );
    const own = { ...headers, "sec-fetch-site": "same-origin" };
    expect(await codeOf(crossing.serviceUsers.deleteServiceUser({}, { headers: own }))).toBe("ok");
    const machine = { ...headers, authorization: "Bearer t" };
    expect(await codeOf(crossing.serviceUsers.deleteServiceUser({}, { headers: machine }))).toBe("ok");
  });

  it.each([
    ["a good cookie alone", { cookie: "sid=good" }, "ok"],
    ["a good cookie from elsewhere", { cookie: "sid=good", origin: "null" }, Code.PermissionDenied],
    ["a good cookie from our page", { cookie: "sid=good", origin: "https://id.example.com" }, "ok"],
    ["a dead cookie from elsewhere", { cookie: "sid=dead", origin: "null" }, "ok"],
    ["a good token beside the cookie", { cookie: "sid=good", authorization: "Bearer good" }, "ok"],
  ] as const)("at an open method, with %s", async (_, headers, expected) => {
    expect(await codeOf(auth.authenticate({}, { headers }))).toBe(expected);
  });

  it.each([
    ["no cookie, as from a machine", {}, 1],
    ["a cookie of no browser", { cookie: "sid=good" }, 1],
    ["a cookie from our page", { cookie: "sid=good", origin: "https://app.example.com" }, 1],
    ["a cookie from elsewhere", { cookie: "sid=good", origin: "https://evil.example" }, 0],
    ["a dead cookie from elsewhere", { cookie: "sid=dead", origin: "https://evil.example" }, 0],
    ["a cookie from a sibling", { cookie: "sid=good", "sec-fetch-site": "same-site" }, 0],
    ["two cookies from elsewhere", { cookie: "sid=x; sid=good", origin: "null" }, 0],
    [
      "a token beside a cookie from elsewhere",
      { cookie: "sid=good", authorization: "Bearer good", origin: "null" },
      0,
    ],
  ] as const)("signing out always succeeds, with %s", async (_, headers, times) => {
    expect(await codeOf(auth.authLogout({}, { headers }))).toBe("ok");
    expect(ended).toBe(times);
  });

  it("signing out ends nothing for a cookie alone where the cookie crosses sites", async () => {
    expect(await codeOf(crossing.auth.authLogout({}, { headers: { cookie: "sid=good" } }))).toBe("ok");
    expect(ended).toBe(0);
  });
});

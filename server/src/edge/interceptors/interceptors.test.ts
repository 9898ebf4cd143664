import { type Code, ConnectError, createClient, createRouterTransport } from "@connectrpc/connect";
import { Health } from "@vestibule/proto/grpc/health/v1/health_pb";
import { AuthService } from "@vestibule/proto/vestibule/v1/auth_service_pb";
import { describe, expect, it } from "vitest";
import { silentLog } from "../../lib/log.ts";
import { principalKey } from "../../principals/context.ts";
import type { Principal } from "../../principals/principal.ts";
import { createTranslator } from "../errors/translate.ts";
import { machine } from "../test-support.ts";
import { createAuthenticateInterceptor } from "./interceptors.ts";

function connect(principal: Principal | undefined) {
  const policies: string[] = [];
  const seen: (Principal | undefined)[] = [];
  const chain = {
    authenticate: async (_: Headers, policy: string) => {
      policies.push(policy);
      return principal;
    },
  };
  const translator = createTranslator({ log: silentLog, bodyBytes: 1024 });
  const transport = createRouterTransport(
    (router) => {
      router.service(AuthService, {
        getCurrentUser: (_, context) => {
          seen.push(context.values.get(principalKey));
          return {};
        },
        authToken: () => ({}),
        listAuthStrategies: () => ({}),
      });
      router.service(Health, { check: () => ({}) });
    },
    { router: { interceptors: [translator.interceptor, createAuthenticateInterceptor(chain)] } },
  );
  return {
    auth: createClient(AuthService, transport),
    health: createClient(Health, transport),
    policies,
    seen,
  };
}

describe("createAuthenticateInterceptor", () => {
  it("asks by the policy in the schema; a method that says nothing is closed", async () => {
    const { auth, health, policies } = connect(machine);
    await auth.getCurrentUser({});
    await auth.authToken({});
    await auth.listAuthStrategies({});
    await health.check({});
    expect(policies).toEqual(["required", "grant", "open", "open"]);
  });

  it("hands the principal to the handler", async () => {
    const { auth, seen } = connect(machine);
    await auth.getCurrentUser({});
    expect(seen).toEqual([machine]);
  });

  it("refuses a closed method without principal, whatever the chain says", async () => {
    const { auth, seen } = connect(undefined);
    const code: Code = await auth.getCurrentUser({}).then(
      () => 0 as Code,
      (error) => ConnectError.from(error).code,
    );
    expect(code).toBe(16);
    expect(seen).toEqual([]);
    await expect(auth.authToken({})).resolves.toBeDefined();
  });
});

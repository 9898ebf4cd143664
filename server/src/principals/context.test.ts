import { createContextValues, createHandlerContext } from "@connectrpc/connect";
import { AuthService } from "@vestibule/proto/vestibule/v1/auth_service_pb";
import { describe, expect, it } from "vitest";
import { principalKey, requirePrincipal } from "./context.ts";
import type { Principal } from "./principal.ts";

const machine: Principal = {
  type: "serviceuser",
  id: "019a0000-0000-7000-8000-000000000001",
  superuser: false,
  authVia: "client_credentials",
  credentialKind: "client_secret",
  orgId: "019a0000-0000-7000-8000-000000000002",
  role: "viewer",
  credentialId: "019a0000-0000-7000-8000-000000000003",
};

function contextWith(principal: Principal | undefined) {
  return createHandlerContext({
    service: AuthService,
    method: AuthService.method.getCurrentUser,
    protocolName: "connect",
    requestMethod: "POST",
    url: "http://localhost/",
    contextValues: createContextValues().set(principalKey, principal),
  });
}

describe("requirePrincipal", () => {
  it("gives the principal that was set", () => {
    expect(requirePrincipal(contextWith(machine))).toBe(machine);
  });

  it("refuses when there is none", () => {
    expect(() => requirePrincipal(contextWith(undefined))).toThrow(
      expect.objectContaining({ reason: "NOT_AUTHENTICATED" }),
    );
  });
});

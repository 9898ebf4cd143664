import type { DescMethod } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel } from "@bufbuild/protobuf/wkt";
import { createClient, createRouterTransport } from "@connectrpc/connect";
import { AuthService } from "@vestibule/proto/vestibule/v1/auth_service_pb";
import { ServiceUserService } from "@vestibule/proto/vestibule/v1/service_user_service_pb";
import { describe, expect, it } from "vitest";
import { registerService } from "../../assembly/services.ts";
import { getCredentialPolicy } from "../options/credential-policy.ts";
import { createFrontierAliases } from "./alias.ts";

class Handlers {
  #token = "from our own handler";
  authToken() {
    return { accessToken: this.#token };
  }
}

const registrations = [registerService(AuthService, new Handlers())];
const frontier = (method: DescMethod) => ({ service: "FrontierService", method }) as const;
const methods = [AuthService.method.authToken, AuthService.method.listAuthStrategies].map(frontier);

describe("createFrontierAliases", () => {
  const [alias, ...others] = createFrontierAliases(methods, registrations);
  if (alias === undefined) throw new Error("no alias");
  const { service, implementation } = alias;

  it("is Frontier's service over our messages", () => {
    expect(service.typeName).toBe("raystack.frontier.v1beta1.FrontierService");
    expect(service.methods.map(({ name }) => name)).toEqual(["AuthToken", "ListAuthStrategies"]);
    expect(service.methods[0]?.input).toBe(AuthService.method.authToken.input);
    expect(others).toEqual([]);
  });

  it("keeps the methods' options", () => {
    expect(service.methods.map(getCredentialPolicy)).toEqual(["grant", "open"]);
    expect(service.methods[1]?.idempotency).toBe(MethodOptions_IdempotencyLevel.NO_SIDE_EFFECTS);
  });

  it("runs our handlers, on their own objects", async () => {
    const transport = createRouterTransport((router) => router.service(service, implementation));
    const client = createClient(service as unknown as typeof AuthService, transport);
    expect((await client.authToken({})).accessToken).toBe("from our own handler");
  });

  it("has a service of its own for what Frontier keeps for administrators, be it of one name with another", async () => {
    const all = [...methods, { service: "AdminService", method: AuthService.method.authToken } as const];
    const [first, second] = createFrontierAliases(all, registrations).map((each) => each.service);
    expect(first?.methods).toHaveLength(2);
    expect(second?.typeName).toBe("raystack.frontier.v1beta1.AdminService");
    expect(second?.methods.map(({ name }) => name)).toEqual(["AuthToken"]);
    expect(second?.file.proto.name).toBe("raystack/frontier/v1beta1/admin.proto");
  });

  it("refuses two methods of one name, and methods that nobody answers", () => {
    expect(() =>
      createFrontierAliases([...methods, frontier(AuthService.method.authToken)], registrations),
    ).toThrow("FrontierService/AuthToken");
    expect(() => createFrontierAliases(ServiceUserService.methods.map(frontier), registrations)).toThrow(
      "has no handlers",
    );
  });
});

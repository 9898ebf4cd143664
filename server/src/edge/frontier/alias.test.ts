import { MethodOptions_IdempotencyLevel } from "@bufbuild/protobuf/wkt";
import { createClient, createRouterTransport } from "@connectrpc/connect";
import { AuthService } from "@vestibule/proto/vestibule/v1/auth_service_pb";
import { ServiceUserService } from "@vestibule/proto/vestibule/v1/service_user_service_pb";
import { describe, expect, it } from "vitest";
import { registerService } from "../../assembly/services.ts";
import { getCredentialPolicy } from "../options/credential-policy.ts";
import { createFrontierAlias } from "./alias.ts";

class Handlers {
  #token = "from our own handler";
  authToken() {
    return { accessToken: this.#token };
  }
}

const registrations = [registerService(AuthService, new Handlers())];
const methods = [AuthService.method.authToken, AuthService.method.listAuthStrategies];

describe("createFrontierAlias", () => {
  const { service, implementation } = createFrontierAlias(methods, registrations);

  it("is Frontier's service over our messages", () => {
    expect(service.typeName).toBe("raystack.frontier.v1beta1.FrontierService");
    expect(service.methods.map(({ name }) => name)).toEqual(["AuthToken", "ListAuthStrategies"]);
    expect(service.methods[0]?.input).toBe(AuthService.method.authToken.input);
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

  it("refuses two methods of one name, and methods that nobody answers", () => {
    expect(() => createFrontierAlias([...methods, AuthService.method.authToken], registrations)).toThrow(
      "FrontierService/AuthToken",
    );
    expect(() => createFrontierAlias(ServiceUserService.methods, registrations)).toThrow("has no handlers");
  });
});

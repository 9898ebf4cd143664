import { Authorization } from "@vestibule/proto/envoy/service/auth/v3/external_auth_pb";
import { Health } from "@vestibule/proto/grpc/health/v1/health_pb";
import { AuthService } from "@vestibule/proto/vestibule/v1/auth_service_pb";
import { expect, it } from "vitest";
import { getCredentialPolicy } from "./credential-policy.ts";

it("is the option's, of services of others a fixed one, and a credential where nobody says", () => {
  expect(getCredentialPolicy(AuthService.method.authToken)).toBe("grant");
  expect(getCredentialPolicy(AuthService.method.listAuthStrategies)).toBe("open");
  expect(getCredentialPolicy(AuthService.method.getCurrentUser)).toBe("required");
  expect(getCredentialPolicy(Health.method.check)).toBe("open");
  // No credential of a person or a machine is looked for on a proxy's call.
  expect(getCredentialPolicy(Authorization.method.check)).toBe("grant");
});

import { AuthService } from "@vestibule/proto/vestibule/v1/auth_service_pb";
import { describe, expect, it } from "vitest";
import { listUnansweredMethods, registerService } from "./services.ts";

describe("listUnansweredMethods", () => {
  it("names what the schema promises and nobody answers", () => {
    const partly = registerService(AuthService, { authToken: () => ({}), getJWKs: () => ({}) });
    expect(listUnansweredMethods([partly])).toEqual([
      "vestibule.v1.AuthService.ListAuthStrategies",
      "vestibule.v1.AuthService.GetCurrentUser",
    ]);
  });

  it("names nothing when all are answered", () => {
    const whole = registerService(AuthService, {
      authToken: () => ({}),
      getJWKs: () => ({}),
      listAuthStrategies: () => ({}),
      getCurrentUser: () => ({}),
    });
    expect(listUnansweredMethods([whole])).toEqual([]);
  });
});

import { Health } from "@vestibule/proto/grpc/health/v1/health_pb";
import { describe, expect, it } from "vitest";
import { listUnansweredMethods, registerService } from "./services.ts";

describe("listUnansweredMethods", () => {
  it("names what the schema promises and nobody answers", () => {
    const partly = registerService(Health, { check: () => ({}), list: () => ({}) });
    expect(listUnansweredMethods([partly])).toEqual(["grpc.health.v1.Health.Watch"]);
  });

  it("names nothing when all are answered", () => {
    const whole = registerService(Health, { check: () => ({}), list: () => ({}), async *watch() {} });
    expect(listUnansweredMethods([whole])).toEqual([]);
  });
});

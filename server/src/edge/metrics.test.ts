import { describe, expect, it } from "vitest";
import { createMetrics } from "./metrics.ts";

describe("createMetrics", () => {
  it("counts a finished request by route, code and credential", async () => {
    const metrics = createMetrics({ processMetrics: false });
    metrics.begin()("/a.B/C", { code: "ok", credentialKind: "access_token" });
    metrics.begin();
    const text = await metrics.registry.metrics();
    expect(text).toContain('vestibule_requests_total{route="/a.B/C",code="ok",credential="access_token"} 1');
    expect(text).toContain('vestibule_request_duration_seconds_count{route="/a.B/C"} 1');
    expect(text).toContain("vestibule_requests_in_flight 1");
  });

  it("tells of the process unless told not to", async () => {
    const { registry } = createMetrics();
    expect(await registry.metrics()).toContain("process_resident_memory_bytes");
  });
});

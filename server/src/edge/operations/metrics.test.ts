import { Registry } from "prom-client";
import { describe, expect, it } from "vitest";
import { createMetrics, RequestMetrics } from "./metrics.ts";

describe("createMetrics", () => {
  it("counts a finished request by route, code and credential", async () => {
    const metrics = createMetrics({ processMetrics: false });
    metrics.begin();
    metrics.begin();
    metrics.end("/a.B/C", { code: "ok", credentialKind: "access_token" }, 0.2);
    const text = await metrics.registry.metrics();
    expect(text).toContain('vestibule_requests_total{route="/a.B/C",code="ok",credential="access_token"} 1');
    expect(text).toContain('vestibule_request_duration_seconds_count{route="/a.B/C"} 1');
    expect(text).toContain('vestibule_request_duration_seconds_sum{route="/a.B/C"} 0.2');
    expect(text).toContain("vestibule_requests_in_flight 1");
  });

  it("sorts durations into buckets that hold all below their bound, the bound included", async () => {
    const metrics = new RequestMetrics();
    for (const seconds of [0.001, 0.0011, 30, 31]) metrics.add("/a", { code: "ok" }, seconds);
    const registry = new Registry();
    metrics.register(registry);
    const text = await registry.metrics();
    const bucket = (le: string) => text.match(`_bucket\\{route="/a",le="${le}"\\} (\\d+)`)?.[1];
    expect([bucket("0.001"), bucket("0.0025"), bucket("30"), bucket("\\+Inf")]).toEqual(["1", "2", "3", "4"]);
    expect(text).toMatch(/_sum\{route="\/a"\} 61\.0021/);
    expect(text).toContain('vestibule_requests_total{route="/a",code="ok",credential="none"} 4');
  });

  it("tells of the process unless told not to", async () => {
    const { registry } = createMetrics();
    expect(await registry.metrics()).toContain("process_resident_memory_bytes");
  });
});

import { Health } from "@vestibule/proto/grpc/health/v1/health_pb";
import { expect, it } from "vitest";
import { type Log, silentLog } from "../lib/log.ts";
import { Stopping } from "../lib/stopping.ts";
import type { ClosingStep } from "./closing.ts";
import { House } from "./house.ts";
import { counter, gauge } from "./metric.ts";
import { registerService } from "./services.ts";

const route = (path: string) => ({ method: "GET", path, handle: () => ({ status: 200 }) }) as const;

it("offers what all rooms do, those inside of another included", () => {
  const house = new House();
  const room = house.add({ rooms: [{ routes: [route("/inner")] }], routes: [route("/outer")], own: 1 });
  house.add({});
  house.add({ routes: [route("/last")] });
  expect(room.own).toBe(1);
  expect(house.routes.map(({ path }) => path)).toEqual(["/inner", "/outer", "/last"]);
});

it("puts a service together whose methods several rooms answer", () => {
  const house = new House();
  const check = () => ({});
  const list = () => ({});
  async function* watch() {}
  house.add({ services: [registerService(Health, { check, watch })] });
  house.add({ services: [registerService(Health, { list })] });
  expect(house.services).toEqual([{ service: Health, implementation: { check, list, watch } }]);
});

it("refuses to leave a method of its services without an answer", () => {
  const house = new House();
  house.add({ services: [registerService(Health, { check: () => ({}), list: () => ({}) })] });
  expect(() => house.services).toThrow("no handler for grpc.health.v1.Health.Watch");
});

it("refuses a method that two rooms answer", () => {
  const house = new House();
  house.add({ services: [registerService(Health, { check: () => ({}) })] });
  house.add({ services: [registerService(Health, { check: () => ({}) })] });
  expect(() => house.services).toThrow("two handlers for grpc.health.v1.Health.check");
});

it("shows metrics of one name as one, in the place of the first", async () => {
  const house = new House();
  const ofCache = (cache: string, value: number) =>
    gauge("cache_entries", "Entries.", () => [{ labels: { cache }, value }]);
  house.add({ metrics: [ofCache("users", 1), counter("calls_total", "Calls.", () => 7)] });
  house.add({ metrics: [ofCache("sessions", 2)] });
  const { metrics } = house;
  expect(metrics.map(({ name }) => name)).toEqual(["cache_entries", "calls_total"]);
  expect(await metrics[0]?.read()).toEqual([
    { labels: { cache: "users" }, value: 1 },
    { labels: { cache: "sessions" }, value: 2 },
  ]);
  expect(await metrics[1]?.read()).toBe(7);
});

it("starts each room once it is told to", () => {
  const house = new House();
  const started: string[] = [];
  house.add({ rooms: [{ start: () => started.push("inner") }] });
  house.add({ start: () => started.push("other") });
  expect(started).toEqual([]);
  house.start();
  expect(started).toEqual(["inner", "other"]);
});

it("closes moment by moment, whatever the order of the rooms, and gives up what is late or fails", async () => {
  const house = new House();
  const taken: string[] = [];
  const log: Log = { ...silentLog, error: (fields) => taken.push(`given up: ${Object(fields).step}`) };
  const step = (name: string, moment: ClosingStep["moment"], run: () => unknown = () => {}): ClosingStep => ({
    name,
    moment,
    ms: 20,
    run: async () => {
      taken.push(name);
      await run();
    },
  });
  house.add({ closing: [step("feed", "changes")] });
  house.add({
    closing: [step("audit", "records"), step("counts", "writes", () => Promise.reject(new Error("locked")))],
  });
  house.add({ closing: [step("sign-ins", "work", () => new Promise(() => {}))] });
  house.add({ closing: [step("usage", "writes")] });
  await house.close(new Stopping({ log, totalMs: 1000 }));
  expect(taken).toEqual([
    "sign-ins",
    "given up: sign-ins",
    "counts",
    "usage",
    "given up: counts",
    "audit",
    "feed",
  ]);
});

/**
 * Whether this process takes requests: `grpc.health.v1.Health`, `GET /healthz`
 * and, for Frontier's clients, `GET /ping`, all from one switch.
 */
import type { HandlerContext } from "@connectrpc/connect";
import {
  Health as HealthService,
  HealthCheckResponse_ServingStatus as Status,
} from "@vestibule/proto/grpc/health/v1/health_pb";
import { registerService, type ServiceRegistration } from "../../assembly/services.ts";
import type { PlainRoute } from "../../http/plain-route.ts";
import { DomainError } from "../../lib/errors.ts";

/** The switch. */
export interface Health {
  isServing(): boolean;
  /** On once ready, off when draining. Watchers hear of it at once. */
  setServing(serving: boolean): void;
  /** Calls `listener` after each change, until the result is called. */
  subscribe(listener: () => void): () => void;
}

/** Off to begin with: a process serves when its composition root says so. */
export function createHealth(): Health {
  const listeners = new Set<() => void>();
  let current = false;
  return {
    isServing: () => current,
    setServing: (serving) => {
      if (serving === current) return;
      current = serving;
      for (const listener of [...listeners]) listener();
    },
    subscribe: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

/**
 * The gRPC health service. The whole server is the empty name; a service has
 * the server's status.
 *
 * `Watch` ends once it has said NOT_SERVING after SERVING, so that no watcher
 * holds up a drain.
 */
export function createHealthService(health: Health, serviceNames: readonly string[]): ServiceRegistration {
  const known = new Set(["", HealthService.typeName, ...serviceNames]);
  const toStatus = () => (health.isServing() ? Status.SERVING : Status.NOT_SERVING);
  return registerService(HealthService, {
    check: ({ service }) => {
      if (!known.has(service)) {
        throw new DomainError("NOT_FOUND", { message: "unknown service" });
      }
      return { status: toStatus() };
    },
    list: () => ({
      statuses: Object.fromEntries([...known].map((name) => [name, { status: toStatus() }])),
    }),
    watch: ({ service }, context) =>
      known.has(service) ? watchStatus(health, toStatus, context) : watchUnknown(context),
  });
}

async function* watchStatus(health: Health, toStatus: () => Status, { signal }: HandlerContext) {
  let served = false;
  for (;;) {
    const changed = nextChange(health, signal);
    const status = toStatus();
    yield { status };
    if (signal.aborted || (served && status === Status.NOT_SERVING)) return;
    served ||= status === Status.SERVING;
    await changed;
    if (signal.aborted) return;
  }
}

/** As the protocol has it: a watcher of an unknown service is told so and kept, not refused. */
async function* watchUnknown({ signal }: HandlerContext) {
  yield { status: Status.SERVICE_UNKNOWN };
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

function nextChange(health: Health, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const settle = () => {
      unsubscribe();
      signal.removeEventListener("abort", settle);
      resolve();
    };
    const unsubscribe = health.subscribe(settle);
    signal.addEventListener("abort", settle, { once: true });
  });
}

/** `GET /healthz` and `GET /ping`: 200 while serving, else 503. */
export function createHealthRoutes(health: Health): PlainRoute[] {
  const handle = () => ({
    status: health.isServing() ? 200 : 503,
    headers: { "cache-control": "no-store" },
    body: { status: health.isServing() ? "SERVING" : "NOT_SERVING" },
  });
  return [
    { method: "GET", path: "/healthz", handle },
    { method: "GET", path: "/ping", handle },
  ];
}

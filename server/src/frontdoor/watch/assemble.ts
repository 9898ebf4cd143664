import { FrontdoorAuthProviderService } from "@vestibule/proto/vestibule/v1/frontdoor_auth_provider_service_pb";
import { gauge } from "../../assembly/metric.ts";
import type { Room } from "../../assembly/room.ts";
import { registerService } from "../../assembly/services.ts";
import type { Database } from "../../db/database.ts";
import { createWatchMethods, type WatchHandlerOptions } from "./handler.ts";
import { ProviderWatch, type ProviderWatchOptions } from "./watch.ts";

/** What following providers stands on. */
export interface WatchParts
  extends Omit<ProviderWatchOptions, "reader">,
    Pick<WatchHandlerOptions, "authenticate" | "stopping" | "toProviderMessage"> {
  readonly database: Database;
}

/** Puts the streams of changes together. */
export function assembleWatch(parts: WatchParts): Room {
  const watch = new ProviderWatch({ ...parts, reader: parts.database.reader });
  return {
    services: [registerService(FrontdoorAuthProviderService, createWatchMethods({ ...parts, watch }))],
    metrics: [gauge("watch_streams", "Open streams of WatchAuthProviders.", () => watch.size)],
    closing: [{ name: "streams of changes", moment: "work", ms: 1_000, run: () => watch.close() }],
  };
}

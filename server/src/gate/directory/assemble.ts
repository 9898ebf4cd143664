import type { Room } from "../../assembly/room.ts";
import { listCacheMetrics } from "../../changes/cache-metrics.ts";
import { createDirectory, type Directory, type DirectoryOptions } from "./directory.ts";

/** Hosts and the frontends that answer for them. */
export interface DirectoryRoom extends Room {
  readonly directory: Directory;
}

/** Puts together where the gate looks up its frontends. */
export function assembleDirectory(options: DirectoryOptions): DirectoryRoom {
  const directory = createDirectory(options);
  return { directory, metrics: listCacheMetrics({ gate_hosts: directory.cache }) };
}

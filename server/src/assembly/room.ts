/**
 * What a room offers the server.
 *
 * Every room puts itself together in its `assemble.ts`: it builds its parts
 * out of the few things it is given, and says what of them is to be served,
 * looked after, counted and closed. `app.ts` names the rooms in order and adds
 * each to the {@link House}, which does that for all alike.
 */
import type { PlainRoute, PrefixRoute } from "../http/plain-route.ts";
import type { ClosingStep } from "./closing.ts";
import type { Metric } from "./metric.ts";
import type { ServiceRegistration } from "./services.ts";
import type { Chore, Sweep } from "./upkeep.ts";

/** @see the head of this file */
export interface Room {
  /** Rooms inside of this one, which it has put together. */
  readonly rooms?: readonly Room[];
  /** Several rooms may answer methods of one service; none answers another's. */
  readonly services?: readonly ServiceRegistration[];
  readonly routes?: readonly PlainRoute[];
  readonly prefixRoutes?: readonly PrefixRoute[];
  /** Metrics of its own. Those of one name in several rooms are shown as one. */
  readonly metrics?: readonly Metric[];
  readonly chores?: readonly Chore[];
  readonly sweeps?: readonly Sweep[];
  /** What the room has to do before the process ends. */
  readonly closing?: readonly ClosingStep[];
  /** Begins what waits until the port is ours. */
  start?(): void;
}

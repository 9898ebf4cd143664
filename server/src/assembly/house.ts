/**
 * The house: all rooms of one server, asked as one for services, routes,
 * metrics, upkeep and closing.
 *
 * This room owns the shapes in which rooms offer their parts, and what is done
 * with all of them alike. It knows no noun, and builds no part of any.
 */
import type { PlainRoute, PrefixRoute } from "../http/plain-route.ts";
import type { Log } from "../lib/log.ts";
import type { Stopping } from "../lib/stopping.ts";
import { takeSteps } from "./closing.ts";
import { type Metric, mergeMetrics } from "./metric.ts";
import type { Room } from "./room.ts";
import { listUnansweredMethods, mergeServices, type ServiceRegistration } from "./services.ts";
import { Upkeep } from "./upkeep.ts";

/** What all rooms offer together. Ask it for anything once the last has been added. */
export class House {
  readonly #rooms: Room[] = [];

  /** Takes a room in with all that are inside of it, and answers it. */
  add<R extends Room>(room: R): R {
    for (const inner of room.rooms ?? []) this.add(inner);
    this.#rooms.push(room);
    return room;
  }

  /** @throws Error for a method that two rooms answer, or none */
  get services(): readonly ServiceRegistration[] {
    const services = mergeServices(this.#all((room) => room.services));
    const unanswered = listUnansweredMethods(services);
    if (unanswered.length > 0) throw new Error(`no handler for ${unanswered.join(", ")}`);
    return services;
  }

  get routes(): readonly PlainRoute[] {
    return this.#all(({ routes }) => routes);
  }

  get prefixRoutes(): readonly PrefixRoute[] {
    return this.#all(({ prefixRoutes }) => prefixRoutes);
  }

  get metrics(): readonly Metric[] {
    return mergeMetrics(this.#all(({ metrics }) => metrics));
  }

  /** Makes what looks after the rooms. */
  createUpkeep(log: Log): Upkeep {
    const chores = this.#all((room) => room.chores);
    return new Upkeep({ chores, sweeps: this.#all(({ sweeps }) => sweeps), log });
  }

  /** Begins what waits until the port is ours. */
  start(): void {
    for (const room of this.#rooms) room.start?.();
  }

  /** Closes the rooms, once no more requests are taken. Never rejects. */
  async close(stopping: Stopping): Promise<void> {
    await takeSteps(
      stopping,
      this.#all(({ closing }) => closing),
    );
  }

  #all<T>(pick: (room: Room) => readonly T[] | undefined): T[] {
    return this.#rooms.flatMap((room) => pick(room) ?? []);
  }
}

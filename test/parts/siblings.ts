/** Processes of one server, as the database of each knows them, all in this process. */
import type { Siblings } from "../../server/src/lib/siblings.ts";
import { TurnGiver, TurnTaker } from "../../server/src/processes/turns.ts";

/** Makes as many as are wanted. What they say to each other is heard a turn of the event loop later. */
export function createSiblings(count: number): readonly Siblings[] {
  const giver = new TurnGiver((number, type) => {
    setImmediate(() => {
      const taker = takers[number - 1];
      if (type === "turn") taker?.noteGiven();
      else taker?.noteAskedFor();
    });
  });
  const takers = Array.from({ length: count }, (_, index) => {
    const number = index + 1;
    return new TurnTaker((type) =>
      setImmediate(() => (type === "want turn" ? giver.want(number) : giver.end(number))),
    );
  });
  const listeners = takers.map(() => new Set<() => void>());
  return takers.map((turns, index) => ({
    number: index + 1,
    areServing: true,
    turns,
    gatherMetrics: async () => [],
    offerMetrics: () => {},
    wakeOthers: () => {
      setImmediate(() => {
        for (const [other, each] of listeners.entries()) {
          if (other !== index) for (const listener of each) listener();
        }
      });
    },
    onWake: (listener) => {
      listeners[index]?.add(listener);
      return () => listeners[index]?.delete(listener);
    },
  }));
}

import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { TurnGiver, TurnTaker } from "./turns.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** Processes that take turns, whose messages wait in one queue until they are delivered. */
function setUp(count: number) {
  const queue: (() => void)[] = [];
  const sent: string[] = [];
  const takers: TurnTaker[] = [];
  const giver = new TurnGiver((number, type) =>
    queue.push(() => {
      sent.push(`${type} to ${number}`);
      if (type === "turn") takers[number - 1]?.noteGiven();
      else takers[number - 1]?.noteAskedFor();
    }),
  );
  for (let number = 1; number <= count; number += 1) {
    takers.push(
      new TurnTaker((type) =>
        queue.push(() => {
          sent.push(`${type} of ${number}`);
          if (type === "want turn") giver.want(number);
          else giver.end(number);
        }),
      ),
    );
  }
  const deliver = () => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) next();
  };
  return { takers, giver, sent, deliver };
}

const ignore = () => {};

it("is asked for once, and then kept while nobody else wants it", () => {
  const { takers, sent, deliver } = setUp(2);
  const [one] = takers;
  const onOurs = vi.fn();
  expect(one?.begin(onOurs)).toBe(false);
  expect(one?.begin(onOurs)).toBe(false);
  deliver();
  expect(onOurs).toHaveBeenCalledOnce();
  for (let batch = 0; batch < 3; batch += 1) {
    expect(one?.begin(ignore)).toBe(true);
    one?.end();
  }
  deliver();
  expect(sent).toEqual(["want turn of 1", "turn to 1"]);
});

it("goes to those who want it in order, each time at the end of what is under way", () => {
  const { takers, deliver } = setUp(3);
  const [one, two, three] = takers;
  const order: string[] = [];
  /** As a writer does: what was waited for is begun at once. */
  const begin = (taker: TurnTaker | undefined, name: string): boolean =>
    taker?.begin(() => {
      if (begin(taker, name)) order.push(name);
    }) ?? false;
  begin(one, "one");
  deliver();
  begin(three, "three");
  begin(two, "two");
  deliver();
  expect(order).toEqual(["one"]);
  one?.end();
  // It wants it again at once, and is the last.
  expect(begin(one, "one")).toBe(false);
  for (const [taker, next] of [
    [three, ["one", "three"]],
    [two, ["one", "three", "two"]],
    [one, ["one", "three", "two", "one"]],
  ] as const) {
    deliver();
    expect(order).toEqual(next);
    taker?.end();
  }
});

it("is given back at once by whoever does nothing with it", () => {
  const { takers, deliver } = setUp(2);
  const [one, two] = takers;
  one?.begin(ignore);
  deliver();
  const onOurs = vi.fn();
  two?.begin(onOurs);
  deliver();
  expect(onOurs).toHaveBeenCalledOnce();
});

it("is passed on when its process ends, as is the place of one that waits", () => {
  const { takers, giver, deliver } = setUp(3);
  const [one, two, three] = takers;
  one?.begin(ignore);
  deliver();
  expect(one?.begin(ignore)).toBe(true);
  two?.begin(ignore);
  const onOurs = vi.fn();
  three?.begin(onOurs);
  deliver();
  giver.leave(2);
  giver.leave(1);
  deliver();
  expect(onOurs).toHaveBeenCalledOnce();
});

it("is not waited for longer than half a second, and that once only for what is under way", () => {
  const { takers, deliver } = setUp(2);
  const [one, two] = takers;
  one?.begin(ignore);
  deliver();
  expect(one?.begin(ignore)).toBe(true);
  // The first is stopped from here on: nothing is delivered.
  const onOurs = vi.fn();
  two?.begin(onOurs);
  vi.advanceTimersByTime(499);
  expect(onOurs).not.toHaveBeenCalled();
  vi.advanceTimersByTime(1);
  expect(onOurs).toHaveBeenCalledOnce();
  expect(two?.begin(ignore)).toBe(true);
  two?.end();
  expect(two?.begin(ignore)).toBe(false);
});

it("is everybody's once nobody gives it any more", () => {
  const { takers } = setUp(1);
  const [one] = takers;
  const onOurs = vi.fn();
  one?.begin(onOurs);
  one?.noteAlone();
  expect(onOurs).toHaveBeenCalledOnce();
  expect(one?.begin(ignore)).toBe(true);
  one?.end();
  expect(one?.begin(ignore)).toBe(true);
});

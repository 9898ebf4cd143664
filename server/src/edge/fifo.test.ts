import { expect, it } from "vitest";
import { Fifo } from "./turns.ts";

it("gives first what came first, however much comes and goes between", () => {
  const fifo = new Fifo<number>();
  const given: number[] = [];
  let came = 0;
  for (let round = 0; round < 50; round += 1) {
    for (let more = 0; more < 7; more += 1) fifo.push(came++);
    for (let taken = 0; taken < 5; taken += 1) given.push(fifo.shift() ?? -1);
    expect(fifo.length).toBe(came - given.length);
    expect(fifo.first).toBe(given.length);
  }
  while (fifo.length > 0) given.push(fifo.shift() ?? -1);
  expect(given).toEqual(Array.from({ length: came }, (_, at) => at));
});

it("has nothing to give when it is empty", () => {
  const fifo = new Fifo<string>();
  expect([fifo.length, fifo.first, fifo.shift()]).toEqual([0, undefined, undefined]);
  fifo.push("one");
  expect([fifo.shift(), fifo.shift(), fifo.length]).toEqual(["one", undefined, 0]);
});

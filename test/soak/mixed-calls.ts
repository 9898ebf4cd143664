/**
 * A million calls over 256 connections to four processes on one port, with
 * cancellations, resets and deadlines: each answer belongs to its call, and
 * nothing is left open.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { scrape, sumOf } from "../parts/metrics.ts";
import { mixCalls } from "../parts/mixed-calls.ts";
import type { Part } from "../parts/part.ts";
import { startServer } from "../parts/server.ts";

const count = 1_000_000;

export default {
  needs: [],
  quick: false,
  limitMinutes: 60,
  async run(context) {
    await using server = await startServer({ processes: 4 });
    const { answered, late, refused, broken, wrong } = await mixCalls(server, { connections: 256, count });
    await context.check("each answer belongs to its call", () => {
      if (wrong.length > 0) throw new Error(`${wrong.length}: ${wrong.slice(0, 10).join("; ")}`);
    });
    await context.check("nothing is left open", async () => {
      let left = Number.NaN;
      for (let tries = 0; tries < 100 && left !== 1; tries += 1) {
        await sleep(100);
        left = sumOf(await scrape(server), "vestibule_requests_in_flight");
      }
      if (left !== 1) throw new Error(`${left - 1} requests are in flight`);
    });
    return `${answered} answered, ${late} late, ${refused} refused, ${broken} broken off`;
  },
} satisfies Part;

/**
 * Twenty rolling restarts of two servers behind each proxy, set up as the
 * documentation says, under load: no request may be lost.
 */
import { startFleet } from "../parts/fleet.ts";
import type { Part } from "../parts/part.ts";
import { proxyNames } from "../parts/proxies.ts";
import { createState } from "../parts/server.ts";

const rounds = 20;
/** Some more than the 200 a second that are asked for, since a busy machine sends late. */
const load = { clients: 16, perSecond: 240 };

export default {
  needs: [],
  quick: false,
  limitMinutes: 45,
  async run(context) {
    const figures: string[] = [];
    for (const name of proxyNames) {
      const state = await createState("postgres");
      try {
        await using fleet = await startFleet(name, state);
        const sending = fleet.startLoad(load);
        for (let restarts = 0; restarts < 2 * rounds && !context.signal.aborted; restarts += 1) {
          await fleet.restartNext();
        }
        const { answered, byAsk, failures, seconds } = await sending.stop();
        const perSecond = Math.round((answered + failures.length) / seconds);
        figures.push(`${name} lost ${failures.length} of ${answered + failures.length} at ${perSecond}/s`);
        await context.check(name, () => {
          if (failures.length > 0) throw new Error(`lost: ${failures.slice(0, 10).join("; ")}`);
          if (perSecond < 200) throw new Error(`only ${perSecond} requests a second`);
          const [posts = 0] = byAsk;
          if (posts < answered / 2 - load.clients) throw new Error(`only ${posts} POSTs of ${answered}`);
        });
      } finally {
        await state.remove();
      }
    }
    return figures.join(", ");
  },
} satisfies Part;

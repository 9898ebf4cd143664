import cluster, { type Worker } from "node:cluster";
import type { MemberMessage, SupervisorMessage } from "./messages.ts";

/** How a process ended: its exit code, or the signal that ended it; neither where it could not be started. */
export interface ProcessEnd {
  readonly code: number | null;
  readonly signal: string | null;
}

/** A serving process as its supervisor has it. */
export interface ServingProcess {
  readonly pid: number | undefined;
  /** Does nothing once it has ended. */
  send(message: SupervisorMessage): void;
  onMessage(listener: (message: MemberMessage) => void): void;
  /** Calls the listener once, when it has ended or could not be started. */
  onEnd(listener: (how: ProcessEnd) => void): void;
  kill(): void;
}

/**
 * Starts this program again with the same arguments, as the serving process of
 * that number, which joins others that serve or is the first.
 *
 * All of them accept connections from one listening socket, which this process
 * opens for the first that asks and keeps open; whoever is free takes the next.
 * A port of its own for each (`SO_REUSEPORT`) would spread connections as well,
 * but gives each a queue of its own: what waits in it is lost with its process
 * and, at the end of a drain, reset; and two servers that were never meant to
 * be one would share the port.
 */
export function forkMember(number: number, isJoining: boolean): ServingProcess {
  cluster.schedulingPolicy = cluster.SCHED_NONE;
  const own = ["--process", String(number), ...(isJoining ? ["--joining"] : [])];
  cluster.setupPrimary({ args: [...process.argv.slice(2), ...own] });
  return toServingProcess(cluster.fork());
}

function toServingProcess(worker: Worker): ServingProcess {
  return {
    pid: worker.process.pid,
    send: (message) => {
      if (worker.isConnected()) worker.process.send(message, () => {});
    },
    onMessage: (listener) => void worker.on("message", listener),
    onEnd: (listener) => {
      const { promise, resolve } = Promise.withResolvers<ProcessEnd>();
      void promise.then(listener);
      worker.once("exit", (code, signal) => resolve({ code, signal }));
      worker.on("error", () => {
        if (worker.process.pid === undefined) resolve({ code: null, signal: null });
      });
    },
    kill: () => void worker.process.kill("SIGKILL"),
  };
}

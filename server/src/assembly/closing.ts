import type { Stopping } from "../lib/stopping.ts";

/**
 * When rooms close, once no more requests are taken: what is still under way
 * ends, what it left to be written is written, then the records of all that,
 * and at last what tells other processes of it.
 */
const moments = ["work", "writes", "records", "changes"] as const;

/** What a room has to do before the process ends. */
export interface ClosingStep {
  /** For the log of a step that is given up: `last uses of sessions`. */
  readonly name: string;
  /** Steps of one moment run side by side, begun in the order of the rooms. */
  readonly moment: (typeof moments)[number];
  /** Longest time, in milliseconds. */
  readonly ms: number;
  run(): unknown;
}

/** Takes the steps, moment by moment. What is not done in time is given up. Never rejects. */
export async function takeSteps(stopping: Stopping, steps: readonly ClosingStep[]): Promise<void> {
  for (const moment of moments) {
    const due = steps.filter((step) => step.moment === moment);
    await Promise.all(due.map(({ name, ms, run }) => stopping.step(name, ms, run)));
  }
}

/** What a file in `test/outside/` or `test/soak/` exports, and what it is run with. */
import type { Toolchain } from "./toolchains.ts";

/**
 * One judge from outside, or one long run: the default export of a file, whose
 * name is the part's. What it needs beside its code lies in a folder of that name.
 */
export interface Part {
  /** What must be on PATH. Without one of them the part is reported as missing and not run. */
  readonly needs: readonly Toolchain[];
  /** Whether `--quick` runs it; then it ends within a minute or so once its tools are there. Default true. */
  readonly quick?: boolean;
  /** When it is ended and counts as failed. Default 15 minutes, in which its tools are installed as well. */
  readonly limitMinutes?: number;
  /**
   * Runs its cases. Resolves with figures for its line of the summary, if it has any beside the count.
   *
   * @throws MissingTool when a registry does not serve what it needs. Anything
   *   else it throws is a failed case, and so is a part without cases.
   */
  run(context: PartContext): Promise<string | undefined>;
}

/** What a part is given. */
export interface PartContext {
  /** True when the whole run should take minutes: a part with a larger and a smaller share does the smaller. */
  readonly quick: boolean;
  /** An empty folder, removed when the part ends. */
  readonly scratch: string;
  /** Aborted when the part's time is up. */
  readonly signal: AbortSignal;
  /** Runs one case. When it throws, that is noted as its failure and the part goes on. */
  check(name: string, run: () => unknown): Promise<void>;
  /** Adds cases that a tool has counted itself, each failure in a few lines. */
  count(passed: number, failures?: readonly string[]): void;
}

/** Something that this machine or its registries do not have: reported, and a failure only when all parts are asked for. */
export class MissingTool extends Error {
  override readonly name = "MissingTool";
}

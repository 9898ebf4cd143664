import type { SerializedError } from "vitest";
import {
  DefaultReporter,
  type TestCase,
  type TestModule,
  type TestRunEndReason,
  type Vitest,
} from "vitest/node";

/** What a run came to. A test that did not run counts as failed. */
export interface Tally {
  passed: number;
  failed: number;
  /** Full names of the tests marked skip or todo, or skipped because a hook before them failed. */
  notRun: string[];
}

/**
 * Counts a finished run: every failed test, every file that failed outside its
 * tests, every unhandled error and every test that did not run is one failure.
 *
 * @param narrowed true when the caller chose tests by name; then those not chosen are left out.
 */
export function countRun(modules: readonly TestModule[], unhandledErrors: number, narrowed: boolean): Tally {
  const tally: Tally = { passed: 0, failed: unhandledErrors, notRun: [] };
  for (const module of modules) {
    for (const test of module.children.allTests()) countTest(tally, test, narrowed);
    tally.failed += module.errors().length;
    for (const suite of module.children.allSuites()) tally.failed += suite.errors().length;
  }
  tally.failed += tally.notRun.length;
  return tally;
}

function countTest(tally: Tally, test: TestCase, narrowed: boolean): void {
  const state = test.result().state;
  if (state === "passed") tally.passed += 1;
  else if (state === "failed") tally.failed += 1;
  else if (!narrowed) tally.notRun.push(`${test.module.relativeModuleId} > ${test.fullName}`);
}

/**
 * Vitest's own reporter, stricter: a skipped or todo test, an unhandled error
 * and a run without a test each fail the run. The last line printed is always
 * `N passed, N failed`, after every teardown, even when set-up broke and no
 * test could start.
 */
export default class StrictReporter extends DefaultReporter {
  // Until a run ends well, leaving the process is a failure.
  private tally: Tally = { passed: 0, failed: 1, notRun: [] };

  override onInit(vitest: Vitest): void {
    super.onInit(vitest);
    process.once("exit", (code) => {
      if (this.tally.failed > 0) process.exitCode = 1;
      else if (code !== 0 && this.tally.passed > 0) this.tally.failed = 1;
      process.stdout.write(`${this.tally.passed} passed, ${this.tally.failed} failed\n`);
    });
  }

  override onTestRunEnd(
    modules: readonly TestModule[],
    unhandledErrors: readonly SerializedError[],
    reason: TestRunEndReason,
  ): void {
    super.onTestRunEnd(modules, unhandledErrors, reason);
    this.tally = countRun(modules, unhandledErrors.length, this.ctx.config.testNamePattern !== undefined);
    for (const name of this.tally.notRun) this.error(`\nnot run: ${name}`);
    if (this.tally.notRun.length > 0) this.error("A test that does not run is a failure.");
    if (this.tally.passed + this.tally.failed === 0) this.error("No test ran.");
    if (this.tally.failed > 0 || this.tally.passed === 0) process.exitCode = 1;
  }
}

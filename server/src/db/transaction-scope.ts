/** Transactions in progress, by AsyncLocalStorage: their hooks, and the refusal to nest. */
import { AsyncLocalStorage } from "node:async_hooks";
import type { Log } from "../lib/log.ts";
import type { Tx } from "./database.ts";

interface Unit {
  open: boolean;
}

/**
 * Keeps what belongs to a transaction on either database: the hooks to run once
 * it has committed, and the knowledge that one is in progress, so that a second
 * one inside it is an error and not a deadlock.
 */
export class TransactionScope {
  readonly #log: Log;
  readonly #current = new AsyncLocalStorage<Unit>();
  readonly #hooks = new WeakMap<Tx, (() => void)[]>();

  constructor(log: Log) {
    this.#log = log;
  }

  /** @throws Error inside the work of a transaction that is still open. */
  assertOutside(): void {
    if (this.#current.getStore()?.open) {
      throw new Error(
        "a transaction is already in progress here: pass its handle on instead of opening another",
      );
    }
  }

  /**
   * Runs `work` inside whatever `transact` opens. Hooks run after `transact`
   * has resolved and before this does.
   */
  async run<T>(
    transact: (body: (tx: Tx) => Promise<T>) => Promise<T>,
    work: (tx: Tx) => Promise<T>,
  ): Promise<T> {
    this.assertOutside();
    const hooks: (() => void)[] = [];
    const result = await transact((tx) => this.#runWork(tx, hooks, work));
    for (const hook of hooks) this.#runHook(hook);
    return result;
  }

  /** @throws Error when `tx` is not in progress. */
  afterCommit(tx: Tx, hook: () => void): void {
    const hooks = this.#hooks.get(tx);
    if (!hooks) throw new Error("afterCommit needs the handle of a transaction in progress");
    hooks.push(hook);
  }

  async #runWork<T>(tx: Tx, hooks: (() => void)[], work: (tx: Tx) => Promise<T>): Promise<T> {
    const unit: Unit = { open: true };
    this.#hooks.set(tx, hooks);
    try {
      return await this.#current.run(unit, () => work(tx));
    } finally {
      unit.open = false;
      this.#hooks.delete(tx);
    }
  }

  #runHook(hook: () => void): void {
    try {
      hook();
    } catch (error) {
      this.#log.error({ err: error }, "a hook threw after its transaction had committed");
    }
  }
}

/** Who waits for a turn. Superusers have no tenant. */
type Tenant = string | undefined;

/** How many have their turn at once, of one tenant and of all, and how many may wait. */
export interface FairQueueOptions {
  /** How many turns there are at once, for all together and for one tenant. */
  readonly slots: number;
  readonly perTenant: number;
  /** How many of all are for superusers alone. */
  readonly reserved: number;
  /** How many may wait: beyond it, the tenant of whom most wait gives up its latest. */
  readonly maxWaiting: number;
}

/** Answers one who waits: with what ends the turn, or that there is none. */
type Settle = (end: EndTurn | undefined) => void;

/** Ends a turn; done once, however often it is called. */
export type EndTurn = () => void;

/**
 * Turns at something that few can do at once. Whoever finds no room waits, and
 * what becomes free goes round the tenants, one each: a tenant that asks a
 * hundred times waits for itself.
 */
export class FairQueue {
  readonly #options: FairQueueOptions;
  readonly #running = new Map<Tenant, number>();
  /** Whoever had a turn goes to the end. */
  readonly #waiting = new Map<Tenant, Set<Settle>>();

  constructor(options: FairQueueOptions) {
    this.#options = options;
  }

  /**
   * Resolves when it is this one's turn, with what ends it; with undefined when
   * too many wait, of whom its own tenant's are most, or once `signal` aborts.
   */
  async wait(tenant: Tenant, signal: AbortSignal): Promise<EndTurn | undefined> {
    if (signal.aborted) return undefined;
    if (this.#mayRun(tenant)) return this.#begin(tenant);
    if (!this.#mayWait(tenant)) return undefined;
    return await new Promise((resolve) => {
      const settle: Settle = (end) => {
        signal.removeEventListener("abort", giveUp);
        resolve(end);
      };
      const giveUp = () => {
        this.#leave(tenant, settle);
        settle(undefined);
      };
      signal.addEventListener("abort", giveUp);
      this.#waiting.set(tenant, (this.#waiting.get(tenant) ?? new Set()).add(settle));
    });
  }

  #mayRun(tenant: Tenant): boolean {
    const { slots, perTenant, reserved } = this.#options;
    const all = [...this.#running.values()].reduce((sum, count) => sum + count, 0);
    if (tenant === undefined) return all < slots;
    const ofTenants = all - (this.#running.get(undefined) ?? 0);
    return all < slots && ofTenants < slots - reserved && (this.#running.get(tenant) ?? 0) < perTenant;
  }

  /** Whether there is room to wait, which is made where another tenant has more than its part of it. */
  #mayWait(tenant: Tenant): boolean {
    const waiting = [...this.#waiting.values()].reduce((sum, each) => sum + each.size, 0);
    if (waiting < this.#options.maxWaiting) return true;
    let [largest, most]: [Tenant, readonly Settle[]] = [undefined, []];
    for (const [each, all] of this.#waiting) {
      if (each !== undefined && all.size > most.length) [largest, most] = [each, [...all]];
    }
    const latest = most.at(-1);
    const isFairer = tenant === undefined || most.length > (this.#waiting.get(tenant)?.size ?? 0) + 1;
    if (latest === undefined || !isFairer) return false;
    this.#leave(largest, latest);
    latest(undefined);
    return true;
  }

  #begin(tenant: Tenant): EndTurn {
    this.#running.set(tenant, (this.#running.get(tenant) ?? 0) + 1);
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      const left = (this.#running.get(tenant) ?? 0) - 1;
      if (left > 0) this.#running.set(tenant, left);
      else this.#running.delete(tenant);
      this.#next();
    };
  }

  #next(): void {
    for (const [tenant, [first]] of this.#waiting) {
      if (first === undefined || !this.#mayRun(tenant)) continue;
      const others = this.#leave(tenant, first);
      this.#waiting.delete(tenant);
      if (others !== undefined) this.#waiting.set(tenant, others);
      first(this.#begin(tenant));
      return;
    }
  }

  /** Answers who of the tenant still waits. */
  #leave(tenant: Tenant, one: Settle): Set<Settle> | undefined {
    const all = this.#waiting.get(tenant);
    all?.delete(one);
    if (all === undefined || all.size > 0) return all;
    this.#waiting.delete(tenant);
    return undefined;
  }
}

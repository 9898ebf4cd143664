import { DomainError } from "./errors.ts";

/** Who wants a slot. */
export interface SlotHolder {
  /** Id of the principal. */
  readonly caller: string;
  /** Those who share one share of all there are; undefined for superusers, who have what is kept for them besides. */
  readonly tenant: string | undefined;
}

/** A slot that was taken. */
export interface Slot {
  /** Aborts when the slot was given to somebody else. */
  readonly signal: AbortSignal;
  /** Gives it back. To be done in every case, also after it was given to somebody else. */
  release(): void;
}

/** How many slots there are in all, and how many one may have. */
export interface SharedSlotsOptions {
  /** How many there are, for all together and for one caller. */
  readonly total: number;
  readonly perCaller: number;
  /** How many of all are for superusers alone; a tenth if absent. */
  readonly reserved?: number;
}

interface TakenSlot extends SlotHolder {
  readonly displaced: AbortController;
  isLeaving: boolean;
}

/**
 * Slots for streams, of which there are so many for everybody.
 *
 * When none is left for a tenant, the one with the most gives up its oldest,
 * if it still has more than the newcomer then: nobody can use up all, whatever
 * number of principals and organizations they make, and nobody takes turns in
 * pushing another out. What a tenant gave up and does not let end, since it reads
 * slowly, goes on counting as its own and as nobody else's.
 */
export class SharedSlots {
  readonly #total: number;
  readonly #perCaller: number;
  readonly #open: number;
  readonly #byCaller = new Map<string, number>();
  /** Oldest first. */
  readonly #byTenant = new Map<string | undefined, Set<TakenSlot>>();
  #held = 0;
  /** How many of each tenant's were given to others already, and are not yet given back. */
  readonly #leaving = new Map<string | undefined, number>();

  constructor({ total, perCaller, reserved = Math.floor(total / 10) }: SharedSlotsOptions) {
    this.#total = total;
    this.#perCaller = perCaller;
    this.#open = total - reserved;
  }

  /** How many are taken. */
  get size(): number {
    return this.#held;
  }

  /**
   * Takes a slot.
   *
   * @throws DomainError TOO_MANY_STREAMS when there is none for this holder now; it says by whose limit
   */
  take(holder: SlotHolder): Slot {
    if ((this.#byCaller.get(holder.caller) ?? 0) >= this.#perCaller) {
      refuse(
        `you have ${this.#perCaller} streams of this kind open, as many as one caller may: end one first`,
      );
    }
    const { tenant } = holder;
    const lingering = this.#leaving.get(tenant) ?? 0;
    if (lingering > 0 && this.#countOf(tenant) + lingering >= this.#open) {
      refuse(
        `your organizations have ${lingering} streams that made room for others and are not read to their end: end them first`,
      );
    }
    if (!this.#hasRoom(holder) && !this.#makeRoom(holder)) {
      const shared = tenant === undefined ? this.#total : this.#open;
      const share = tenant === undefined ? "" : `, ${this.#countOf(tenant)} of them by your organizations`;
      refuse(`all ${shared} streams that callers share are taken${share}: end one, or try again later`);
    }
    const taken: TakenSlot = { ...holder, displaced: new AbortController(), isLeaving: false };
    this.#add(taken);
    let isReleased = false;
    return {
      signal: taken.displaced.signal,
      release: () => {
        if (isReleased) return;
        isReleased = true;
        if (taken.isLeaving) this.#countLeaving(tenant, -1);
        else this.#remove(taken);
      },
    };
  }

  #hasRoom({ tenant }: SlotHolder): boolean {
    const ofTenants = this.#held - this.#countOf(undefined);
    return this.#held < this.#total && (tenant === undefined || ofTenants < this.#open);
  }

  #makeRoom({ tenant }: SlotHolder): boolean {
    const [largest, slots] = this.#findLargest();
    const [oldest] = slots;
    if (oldest === undefined) return false;
    const isFairer = tenant === undefined || (tenant !== largest && slots.size > this.#countOf(tenant) + 1);
    if (!isFairer) return false;
    this.#remove(oldest);
    oldest.isLeaving = true;
    this.#countLeaving(largest, 1);
    oldest.displaced.abort();
    return true;
  }

  #findLargest(): readonly [tenant: string | undefined, slots: ReadonlySet<TakenSlot>] {
    let largest: readonly [string | undefined, ReadonlySet<TakenSlot>] = [undefined, new Set()];
    for (const [tenant, slots] of this.#byTenant) {
      if (tenant !== undefined && slots.size > largest[1].size) largest = [tenant, slots];
    }
    return largest;
  }

  #countOf(tenant: string | undefined): number {
    return this.#byTenant.get(tenant)?.size ?? 0;
  }

  #countLeaving(tenant: string | undefined, change: 1 | -1): void {
    const left = (this.#leaving.get(tenant) ?? 0) + change;
    if (left > 0) this.#leaving.set(tenant, left);
    else this.#leaving.delete(tenant);
  }

  #add(slot: TakenSlot): void {
    const { caller, tenant } = slot;
    this.#byCaller.set(caller, (this.#byCaller.get(caller) ?? 0) + 1);
    this.#byTenant.set(tenant, (this.#byTenant.get(tenant) ?? new Set()).add(slot));
    this.#held += 1;
  }

  #remove(slot: TakenSlot): void {
    const { caller, tenant } = slot;
    const left = (this.#byCaller.get(caller) ?? 0) - 1;
    if (left > 0) this.#byCaller.set(caller, left);
    else this.#byCaller.delete(caller);
    const slots = this.#byTenant.get(tenant);
    slots?.delete(slot);
    if (slots?.size === 0) this.#byTenant.delete(tenant);
    this.#held -= 1;
  }
}

function refuse(message: string): never {
  throw new DomainError("TOO_MANY_STREAMS", { message });
}

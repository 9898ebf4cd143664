/** Who wants a place. */
export interface PlaceHolder {
  /** Id of the principal. */
  readonly caller: string;
  /** Those who share one share of all there are; undefined for superusers, who have what is kept for them besides. */
  readonly tenant: string | undefined;
}

/** A place that was taken. */
export interface Place {
  /** Aborts when the place was given to somebody else. */
  readonly signal: AbortSignal;
  /** Gives it back. To be done in every case, also after it was given to somebody else. */
  release(): void;
}

export interface SharedPlacesOptions {
  /** How many there are, for all together and for one caller. */
  readonly total: number;
  readonly perCaller: number;
  /** How many of all are for superusers alone; a tenth if absent. */
  readonly reserved?: number;
}

interface TakenPlace extends PlaceHolder {
  readonly displaced: AbortController;
  isLeaving: boolean;
}

/**
 * Places, such as those of streams, of which there are so many for everybody.
 *
 * When none is left for a tenant, the one with the most gives up its oldest,
 * if it still has more than the newcomer then: nobody can use up all, whatever
 * number of principals and organizations they make, and nobody takes turns in
 * pushing another out. What a tenant gave up and does not let end, since it reads
 * slowly, goes on counting as its own and as nobody else's.
 */
export class SharedPlaces {
  readonly #total: number;
  readonly #perCaller: number;
  readonly #open: number;
  readonly #byCaller = new Map<string, number>();
  /** Oldest first. */
  readonly #byTenant = new Map<string | undefined, Set<TakenPlace>>();
  #held = 0;
  /** How many of each tenant's were given to others already, and are not yet given back. */
  readonly #leaving = new Map<string | undefined, number>();

  constructor({ total, perCaller, reserved = Math.floor(total / 10) }: SharedPlacesOptions) {
    this.#total = total;
    this.#perCaller = perCaller;
    this.#open = total - reserved;
  }

  /** How many are taken. */
  get size(): number {
    return this.#held;
  }

  /** A place, or undefined when there is none for this holder now. */
  take(holder: PlaceHolder): Place | undefined {
    if ((this.#byCaller.get(holder.caller) ?? 0) >= this.#perCaller) return undefined;
    const { tenant } = holder;
    const lingering = this.#leaving.get(tenant) ?? 0;
    if (lingering > 0 && this.#countOf(tenant) + lingering >= this.#open) return undefined;
    if (!this.#hasRoom(holder) && !this.#makeRoom(holder)) return undefined;
    const taken: TakenPlace = { ...holder, displaced: new AbortController(), isLeaving: false };
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

  #hasRoom({ tenant }: PlaceHolder): boolean {
    const ofTenants = this.#held - this.#countOf(undefined);
    return this.#held < this.#total && (tenant === undefined || ofTenants < this.#open);
  }

  #makeRoom({ tenant }: PlaceHolder): boolean {
    const [largest, places] = this.#findLargest();
    const [oldest] = places;
    if (oldest === undefined) return false;
    const isFairer = tenant === undefined || (tenant !== largest && places.size > this.#countOf(tenant) + 1);
    if (!isFairer) return false;
    this.#remove(oldest);
    oldest.isLeaving = true;
    this.#countLeaving(largest, 1);
    oldest.displaced.abort();
    return true;
  }

  #findLargest(): readonly [tenant: string | undefined, places: ReadonlySet<TakenPlace>] {
    let largest: readonly [string | undefined, ReadonlySet<TakenPlace>] = [undefined, new Set()];
    for (const [tenant, places] of this.#byTenant) {
      if (tenant !== undefined && places.size > largest[1].size) largest = [tenant, places];
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

  #add(place: TakenPlace): void {
    const { caller, tenant } = place;
    this.#byCaller.set(caller, (this.#byCaller.get(caller) ?? 0) + 1);
    this.#byTenant.set(tenant, (this.#byTenant.get(tenant) ?? new Set()).add(place));
    this.#held += 1;
  }

  #remove(place: TakenPlace): void {
    const { caller, tenant } = place;
    const left = (this.#byCaller.get(caller) ?? 0) - 1;
    if (left > 0) this.#byCaller.set(caller, left);
    else this.#byCaller.delete(caller);
    const places = this.#byTenant.get(tenant);
    places?.delete(place);
    if (places?.size === 0) this.#byTenant.delete(tenant);
    this.#held -= 1;
  }
}

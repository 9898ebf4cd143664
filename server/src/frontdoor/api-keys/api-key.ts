/** A key of an `API_KEY` provider. */
export interface ApiKey {
  readonly id: string;
  readonly providerId: string;
  readonly title: string;
  /** `hashSecret` of the key. */
  readonly keyHash: string;
  readonly createdAt: Date;
  readonly expiresAt: Date;
  /** Coarse; absent if never. */
  readonly lastUsedAt?: Date;
}

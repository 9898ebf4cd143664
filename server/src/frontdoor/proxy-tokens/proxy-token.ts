/** What a proxy proves itself with at the gate of a frontdoor. */
export interface ProxyToken {
  readonly id: string;
  readonly frontdoorId: string;
  readonly title: string;
  /** `hashSecret` of the token. */
  readonly tokenHash: string;
  readonly createdAt: Date;
  /** Coarse; absent if never. */
  readonly lastUsedAt?: Date;
}

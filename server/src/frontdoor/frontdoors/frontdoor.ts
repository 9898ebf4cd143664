/** A front door of an organization. */
export interface Frontdoor {
  readonly id: string;
  readonly orgId: string;
  /** May be empty. */
  readonly name: string;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

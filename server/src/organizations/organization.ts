/** A tenant: what service users belong to and roles are held in. */
export interface Organization {
  readonly id: string;
  /** Unique handle, usable wherever an id is. */
  readonly name: string;
  readonly title: string;
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly avatar: string;
  readonly state: "enabled" | "disabled";
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** Name of the organization that exists from the first start. */
export const defaultOrganizationName = "default";

import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import type { FrontierService } from "@vestibule/proto/vestibule/v1/frontier_service_pb";
import { requirePrincipal } from "../principals/context.ts";
import type { Access } from "./access.ts";

const reads = { role: "viewer", writes: false } as const;

/**
 * What belongs to Frontier's wider product, and which its screens ask for all
 * the same: answered by what is true here, that there is none. An organization
 * that is named must be the caller's.
 */
export function createElsewhereMethods(access: Access) {
  const requireMember = async (org: string, context: HandlerContext) =>
    (await access.require(requirePrincipal(context), org, reads)).organization;

  return {
    async listOrganizationDomains({ orgId }, context) {
      await requireMember(orgId, context);
      return { domains: [] };
    },
    async listOrganizationGroups({ orgId }, context) {
      await requireMember(orgId, context);
      return { groups: [] };
    },
    listProjectGroups: () => ({ groups: [], rolePairs: [] }),
    async listOrganizationPreferences({ id }, context) {
      await requireMember(id, context);
      return { preferences: [] };
    },
    async getOrganizationKyc({ orgId }, context) {
      return { organizationKyc: { orgId: (await requireMember(orgId, context)).id } };
    },
    async listBillingAccounts({ orgId }, context) {
      await requireMember(orgId, context);
      return { billingAccounts: [] };
    },
    async listSubscriptions({ orgId }, context) {
      await requireMember(orgId, context);
      return { subscriptions: [] };
    },
    listPlans: () => ({ plans: [] }),
    listFeatures: () => ({ features: [] }),
  } satisfies Partial<ServiceImpl<typeof FrontierService>>;
}

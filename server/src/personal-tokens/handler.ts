import type { ServiceImpl } from "@connectrpc/connect";
import type {
  CreateCurrentUserPATRequest,
  PersonalTokenService as PersonalTokenServiceSchema,
  RegenerateCurrentUserPATRequest,
  UpdateCurrentUserPATRequest,
} from "@vestibule/proto/vestibule/v1/personal_token_service_pb";
import { invalidField } from "../lib/invalid-request.ts";
import { fromOptionalTimestamp } from "../lib/proto.ts";
import { frontierRoles } from "../organizations/frontier-roles.ts";
import { toRoleMessage } from "../organizations/role-handler.ts";
import { requireCaller } from "../principals/context.ts";
import { toPersonalTokenMessage } from "./messages.ts";
import { tokenResources } from "./scope.ts";
import { searchTokens } from "./search.ts";
import type { PersonalTokenService, TokenDraft } from "./service.ts";

/** What people do with their personal access tokens. */
export function createPersonalTokenHandler(tokens: PersonalTokenService) {
  return {
    async createCurrentUserPAT(request, context) {
      const { token, secret } = await tokens.create(requireCaller(context), {
        ...toDraft(request),
        orgId: request.orgId,
        expiresAt: toInstant(request),
      });
      return { pat: toPersonalTokenMessage(token, secret) };
    },
    listRolesForPAT({ scopes }) {
      const wanted = scopes.length === 0 ? tokenResources : scopes;
      return { roles: frontierRoles.filter(({ scope }) => wanted.includes(scope)).map(toRoleMessage) };
    },
    async searchCurrentUserPATs({ orgId, query }, context) {
      const found = searchTokens(await tokens.list(requireCaller(context), orgId), query);
      const { tokens: page, ...pagination } = found;
      return { pats: page.map((token) => toPersonalTokenMessage(token)), pagination };
    },
    async getCurrentUserPAT({ id }, context) {
      return { pat: toPersonalTokenMessage(await tokens.get(requireCaller(context), id)) };
    },
    async updateCurrentUserPAT(request, context) {
      const token = await tokens.update(requireCaller(context), request.id, toDraft(request));
      return { pat: toPersonalTokenMessage(token) };
    },
    async regenerateCurrentUserPAT(request, context) {
      const { token, secret } = await tokens.regenerate(
        requireCaller(context),
        request.id,
        toInstant(request),
      );
      return { pat: toPersonalTokenMessage(token, secret) };
    },
    async deleteCurrentUserPAT({ id }, context) {
      await tokens.delete(requireCaller(context), id);
      return {};
    },
    async checkCurrentUserPATTitle({ orgId, title }, context) {
      return { available: await tokens.isTitleFree(requireCaller(context), orgId, title) };
    },
  } satisfies ServiceImpl<typeof PersonalTokenServiceSchema>;
}

function toDraft(request: CreateCurrentUserPATRequest | UpdateCurrentUserPATRequest): TokenDraft {
  return { title: request.title, scopes: request.scopes, metadata: request.metadata ?? {} };
}

function toInstant({ expiresAt }: CreateCurrentUserPATRequest | RegenerateCurrentUserPATRequest): Date {
  const instant = fromOptionalTimestamp(expiresAt);
  if (instant === undefined) throw invalidField("expires_at", "must be given");
  return instant;
}

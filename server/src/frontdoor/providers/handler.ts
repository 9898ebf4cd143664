import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import type {
  FrontdoorAuthProviderService,
  ListAuthProvidersRequest,
} from "@vestibule/proto/vestibule/v1/frontdoor_auth_provider_service_pb";
import { readCondition } from "../../http/entity-tag.ts";
import { DomainError } from "../../lib/errors.ts";
import { defaultPageSize } from "../../lib/page-token.ts";
import { requireCaller } from "../../principals/context.ts";
import type { ProviderData } from "../provider-types/provider-type.ts";
import type { ProviderList, ProviderQuery } from "./list.ts";
import type { SortColumn } from "./list-store.ts";
import { type ToProviderMessage, toRevisionMessage, toSummaryMessage } from "./messages.ts";
import { type ProviderService, toEntityTag } from "./service.ts";

/** What the handlers stand on. */
export interface ProviderServices {
  readonly providers: ProviderService;
  readonly lists: ProviderList;
  readonly toProviderMessage: ToProviderMessage;
}

/** Rows on a page by number when the caller does not say. */
const defaultSize = 20;

type Implementation = ServiceImpl<typeof FrontdoorAuthProviderService>;

/** Reading and writing providers. */
export function createProviderMethods(services: ProviderServices) {
  const { providers, lists, toProviderMessage } = services;
  return {
    async listAuthProviders(request, context) {
      const query = toQuery(request);
      const { items, page, nextPageToken, ...totals } = await lists.list(
        requireCaller(context),
        request.frontdoorId,
        query,
      );
      return {
        content: items.map(toSummaryMessage),
        pageable: { pageNumber: page, pageSize: query.size },
        ...totals,
        ...(nextPageToken !== undefined && { nextPageToken }),
      };
    },
    async getAuthProvider(ref, context) {
      const provider = await providers.get(requireCaller(context), ref);
      setTag(context, provider.revision);
      return { authProvider: toProviderMessage(provider) };
    },
    async createAuthProvider({ frontdoorId, name, type, data, enabled = true }, context) {
      const idempotencyKey = context.requestHeader.get("idempotency-key");
      const draft = { name, type, enabled, data: (data ?? {}) as ProviderData };
      const provider = await providers.create(requireCaller(context), frontdoorId, {
        ...draft,
        ...(idempotencyKey !== null && { idempotencyKey }),
      });
      setTag(context, 1);
      const location = `/frontdoor/${frontdoorId.toLowerCase()}/auth-providers/${provider.id}`;
      context.responseHeader.set("location", location);
      return { authProvider: toSummaryMessage(provider) };
    },
    async updateAuthProvider(request, context) {
      const { name, enabled, type, data } = request;
      const provider = await providers.update(requireCaller(context), request, {
        ...readCondition(context.requestHeader),
        ...(name !== undefined && { name }),
        ...(enabled !== undefined && { enabled }),
        ...(type !== undefined && { type }),
        ...(data !== undefined && { data: data as ProviderData }),
      });
      setTag(context, provider.revision);
      return { authProvider: toProviderMessage(provider) };
    },
    async replaceAuthProvider(request, context) {
      const { name, enabled, type, data } = request;
      const provider = await providers.replace(requireCaller(context), request, {
        ...readCondition(context.requestHeader),
        name,
        type,
        data: (data ?? {}) as ProviderData,
        ...(enabled !== undefined && { enabled }),
      });
      setTag(context, provider.revision);
      return { authProvider: toProviderMessage(provider) };
    },
    async deleteAuthProvider(ref, context) {
      await providers.delete(requireCaller(context), ref, readCondition(context.requestHeader));
      return {};
    },
    async listAuthProviderRevisions(request, context) {
      const page = { size: request.pageSize || defaultPageSize, token: request.pageToken };
      const { items, nextPageToken } = await providers.listRevisions(requireCaller(context), request, page);
      return { revisions: items.map(toRevisionMessage), nextPageToken };
    },
    async rollbackAuthProvider(request, context) {
      const { revision } = request;
      const wanted = { revision, ...readCondition(context.requestHeader) };
      const provider = await providers.rollback(requireCaller(context), request, wanted);
      setTag(context, provider.revision);
      return { authProvider: toProviderMessage(provider) };
    },
  } satisfies Partial<Implementation>;
}

function setTag({ responseHeader }: HandlerContext, revision: number): void {
  responseHeader.set("etag", toEntityTag(revision));
}

function toQuery(request: ListAuthProvidersRequest): ProviderQuery {
  const { page, size = defaultSize, type, enabled, name, pageToken } = request;
  const [field = "", direction] = request.sort.split(",");
  return {
    page,
    size,
    column: toColumn(field),
    descending: direction === "desc",
    type,
    name,
    ...(enabled !== undefined && { enabled }),
    ...(pageToken !== undefined && { pageToken }),
  };
}

const columns: Readonly<Record<string, SortColumn>> = {
  "": "name",
  name: "name",
  type: "type",
  enabled: "enabled",
  created_at: "created_at",
  createdAt: "created_at",
  updated_at: "updated_at",
  updatedAt: "updated_at",
};

/** The schema lets no other field through. */
function toColumn(field: string): SortColumn {
  const column = columns[field];
  if (column === undefined) throw new DomainError("INVALID_REQUEST");
  return column;
}

/**
 * Lists of providers: by page number or by cursor, with exact totals.
 *
 * Totals come from counts that every write keeps. A page by number is read
 * from the nearer end, in steps, so that one in the middle of a million holds
 * up nobody else; a cursor begins where the page before ended.
 */
import type { Database, Reader } from "../../db/database.ts";
import { invalidField } from "../../lib/invalid-request.ts";
import { fromPageToken, toPageToken } from "../../lib/page-token.ts";
import type { Caller } from "../../principals/principal.ts";
import { type FrontdoorAccess, frontdoorNotFound } from "../frontdoors/access.ts";
import { findChangePlace, lockFrontdoor } from "../frontdoors/store.ts";
import {
  countMatches,
  findListState,
  findPosition,
  findWindow,
  type ListedProvider,
  type ListPlan,
  type ListPosition,
  type ProviderGroup,
  type SortColumn,
} from "./list-store.ts";
import type { ProviderSummary } from "./provider.ts";

/** What a list asks for. */
export interface ProviderQuery {
  /** From 0. */
  readonly page: number;
  /** 1 to 200. */
  readonly size: number;
  readonly column: SortColumn;
  readonly descending: boolean;
  /** Empty for any. */
  readonly type: string;
  readonly enabled?: boolean;
  /** Prefix; empty for any. */
  readonly name: string;
  /** Present for a list by cursor, empty for its first page. */
  readonly pageToken?: string;
}

/** A page of providers. */
export interface ProviderPage {
  readonly items: readonly ProviderSummary[];
  /** From 0. By cursor: as many pages as were read before. */
  readonly page: number;
  readonly totalElements: number;
  readonly totalPages: number;
  /** By cursor; empty on the last page. */
  readonly nextPageToken?: string;
}

/** Parts that lists of providers stand on. */
export interface ProviderListOptions {
  readonly database: Pick<Database, "reader" | "transaction">;
  readonly frontdoorAccess: FrontdoorAccess;
  /** How many rows one step to a page in the middle passes. */
  readonly rowsPerStep?: number;
}

/** How often a page is read anew because somebody wrote meanwhile, before writers are made to wait. */
const attempts = 3;

/** Lists providers. */
export class ProviderList {
  readonly #database: ProviderListOptions["database"];
  readonly #frontdoorAccess: FrontdoorAccess;
  readonly #rowsPerStep: number;

  constructor({ database, frontdoorAccess, rowsPerStep = 5000 }: ProviderListOptions) {
    this.#database = database;
    this.#frontdoorAccess = frontdoorAccess;
    this.#rowsPerStep = rowsPerStep;
  }

  /**
   * One page. Its totals and its rows are of one state of the frontdoor,
   * whoever writes meanwhile.
   *
   * @throws DomainError FRONTDOOR_NOT_FOUND, INVALID_REQUEST
   */
  async list(caller: Caller, frontdoorId: string, query: ProviderQuery): Promise<ProviderPage> {
    const { id } = await this.#frontdoorAccess.require(caller.principal, frontdoorId, "read");
    const { reader } = this.#database;
    for (let attempt = 0; attempt < attempts; attempt += 1) {
      const { seq, page } = await new PageReader(reader, this.#rowsPerStep).read(id, query);
      if ((await findChangePlace(reader, id))?.seq === seq) return page;
    }
    return await this.#database.transaction(async (tx) => {
      await lockFrontdoor(tx, id);
      return (await new PageReader(tx, Number.POSITIVE_INFINITY).read(id, query)).page;
    });
  }
}

/** Reads a page by one handle. */
class PageReader {
  readonly #reader: Reader;
  readonly #rowsPerStep: number;

  /** @param rowsPerStep infinite in a transaction, which waits for nothing but the database. */
  constructor(reader: Reader, rowsPerStep: number) {
    this.#reader = reader;
    this.#rowsPerStep = rowsPerStep;
  }

  /** A page, and the place of the newest change when its reading began. */
  async read(
    frontdoorId: string,
    query: ProviderQuery,
  ): Promise<{ readonly seq: number; readonly page: ProviderPage }> {
    const state = await findListState(this.#reader, frontdoorId);
    if (state === undefined) throw frontdoorNotFound(frontdoorId, "deleted meanwhile");
    const plan = toPlan(frontdoorId, state.groups, query);
    const totalElements = await this.#count(plan);
    const totals = { totalElements, totalPages: Math.ceil(totalElements / query.size) };
    if (query.pageToken !== undefined) {
      const page = { ...totals, ...(await this.#byCursor(plan, query, query.pageToken)) };
      return { seq: state.seq, page };
    }
    const rows = await this.#byNumber(plan, query, totalElements);
    const items = rows.map(({ provider }) => provider);
    return { seq: state.seq, page: { ...totals, items, page: query.page } };
  }

  async #count(plan: ListPlan): Promise<number> {
    if (plan.groups.length === 0) return 0;
    if (plan.namePrefix !== "") return await countMatches(this.#reader, plan);
    return plan.groups.reduce((sum, { count }) => sum + count, 0);
  }

  async #byCursor(
    plan: ListPlan,
    query: ProviderQuery,
    token: string,
  ): Promise<Pick<ProviderPage, "items" | "page" | "nextPageToken">> {
    if (query.page > 0) throw invalidField("page", "must not be given together with page_token");
    const list = toListName(plan, query);
    const { page, after } = readCursor(plan, list, token);
    const window = { ...(after && { after }), offset: 0, limit: query.size + 1 };
    const rows = await findWindow(this.#reader, plan, window);
    const shown = rows.slice(0, query.size);
    const last = shown.at(-1)?.position;
    const isMore = rows.length > query.size && last !== undefined;
    return {
      items: shown.map(({ provider }) => provider),
      page,
      nextPageToken: isMore ? toPageToken(list, [page + 1, last.value, last.id]) : "",
    };
  }

  async #byNumber(
    plan: ListPlan,
    { page, size }: ProviderQuery,
    total: number,
  ): Promise<readonly ListedProvider[]> {
    const offset = page * size;
    const limit = Math.min(size, total - offset);
    if (limit <= 0) return [];
    const behind = total - offset - limit;
    if (behind >= offset) return await this.#skip(plan, { offset, limit, reversed: false });
    return (await this.#skip(plan, { offset: behind, limit, reversed: true })).toReversed();
  }

  async #skip(
    plan: ListPlan,
    {
      offset,
      limit,
      reversed,
    }: { readonly offset: number; readonly limit: number; readonly reversed: boolean },
  ): Promise<ListedProvider[]> {
    // In another order than the name's, a prefix's matches are sorted anew by every read: one is enough.
    const step =
      plan.namePrefix !== "" && plan.column !== "name" ? Number.POSITIVE_INFINITY : this.#rowsPerStep;
    let after: ListPosition | undefined;
    let ahead = offset;
    while (ahead > step) {
      after = await findPosition(this.#reader, plan, { ...(after && { after }), offset: step - 1, reversed });
      if (after === undefined) return [];
      ahead -= step;
      await new Promise((resolve) => setImmediate(resolve));
    }
    return await findWindow(this.#reader, plan, { ...(after && { after }), offset: ahead, limit, reversed });
  }
}

function toPlan(
  frontdoorId: string,
  all: readonly ProviderGroup[],
  { type, enabled, name, column, descending }: ProviderQuery,
): ListPlan {
  const groups = all.filter(
    (group) =>
      (type === "" || group.type === type) && (enabled === undefined || (group.enabled === 1) === enabled),
  );
  const isFiltered = type !== "" || enabled !== undefined;
  return { frontdoorId, groups, isFiltered, namePrefix: name.normalize("NFC"), column, descending };
}

/** Where a cursor points. */
function readCursor(
  plan: ListPlan,
  list: readonly string[],
  token: string,
): { readonly page: number; readonly after?: ListPosition } {
  const isText = plan.column === "name" || plan.column === "type";
  const position = fromPageToken(list, token, ["integer", isText ? "text" : "integer", "text"]);
  if (position === undefined) return { page: 0 };
  const [page, value, id] = position;
  const isState = plan.column !== "enabled" || value === 0 || value === 1;
  if (!isPageNumber(page) || !isState) {
    throw invalidField("page_token", "must be the next_page_token of the same list");
  }
  return { page, after: { value, id } };
}

/** Fits the field that shows it. */
function isPageNumber(page: number): boolean {
  return page >= 0 && page < 2 ** 31 - 1;
}

/** What a cursor is bound to. */
function toListName({ frontdoorId, namePrefix }: ListPlan, query: ProviderQuery): string[] {
  const { type, enabled, column, descending, size } = query;
  return [
    "ListAuthProviders",
    frontdoorId,
    type,
    String(enabled ?? ""),
    namePrefix,
    column,
    String(descending),
    String(size),
  ];
}

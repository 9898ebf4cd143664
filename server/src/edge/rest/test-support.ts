/** The library of `test/fixtures/proto`, compiled at run time, and handlers for it. For tests only. */
import type { DescMethod, DescService, Message } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import { Code, ConnectError } from "@connectrpc/connect";
import { compileSchemas } from "../../../../test/parts/schemas.ts";
import type { ServiceRegistration } from "../../assembly/services.ts";
import { DomainError, type Reason, reasons } from "../../lib/errors.ts";

const registry = compileSchemas("test/fixtures/proto");

/** The library's service. */
export const libraryService = getService("library.v1.LibraryService");

/** The one in Frontier's style. */
const oldService = getService("library.v1.OldService");

function getService(name: string): DescService {
  const service = registry.getService(name);
  if (service === undefined) throw new Error(`${name} is missing`);
  return service;
}

/** A method of the library by its name. */
export function getMethod(name: string): DescMethod {
  const method = libraryService.methods.find((each) => each.name === name);
  if (method === undefined) throw new Error(`${name} is missing`);
  return method;
}

type Fields = Record<string, unknown>;
type Request = Message & Fields;

const createdAt = { seconds: 1_700_000_000n, nanos: 5_000_000 };

function toBook(book: Fields): Fields {
  return { fullTitle: "A book", authors: [{ name: "A", rank: 1 }], createdAt, ...book };
}

const handlers: Record<string, (request: Request, context: HandlerContext) => Fields | Promise<Fields>> = {
  getBook: ({ id }, { responseHeader }) => {
    responseHeader.set("etag", '"1"');
    return toBook({ id });
  },
  listBooks: ({ page, size, pageToken }) => {
    const isCursor = pageToken !== undefined;
    return {
      content: Number(page) < 3 ? [toBook({ id: `${page}` })] : [],
      totalElements: 3,
      totalPages: size === undefined ? 1 : 3,
      ...(isCursor && pageToken !== "last" && { nextPageToken: "n x" }),
    };
  },
  createBook: ({ shelfId, book }, { responseHeader }) => {
    responseHeader.set("etag", '"1"');
    responseHeader.set("location", `/library/shelves/${shelfId}/books/new`);
    return { ...(book as Fields), id: "new" };
  },
  updateBook: ({ id, fullTitle, lendable, data }) =>
    toBook({
      id,
      ...(fullTitle !== undefined && { fullTitle }),
      note: JSON.stringify({ fullTitle, lendable, data }),
    }),
  replaceBook: ({ book }) => book as Fields,
  deleteBook: () => ({}),
  lendBook: () => ({ until: createdAt }),
  countBooks: () => ({ count: 9_007_199_254_740_993n }),
  listKinds: () => ({ kinds: [{ name: "atlas", displayName: "" }] }),
  getKindSchema: ({ kind }) => (kind === "atlas" ? { schema: { type: "object", required: [] } } : {}),
  getByName: ({ name }) => ({ name }),
  echo: (request, { requestHeader, requestMethod }) => ({
    request,
    ifMatch: requestHeader.get("if-match") ?? "",
    httpMethod: requestMethod,
  }),
  fail: async ({ reason }) => {
    if (reason === "hang") await new Promise(() => {});
    if (reason === "BROKEN") throw new Error("the password is hunter2");
    if (reason === "CONNECT") throw new ConnectError("hunter2", Code.DataLoss);
    if (!Object.hasOwn(reasons, String(reason))) throw new Error("no such reason");
    throw new DomainError(reason as Reason, {
      violations: reason === "INVALID_REQUEST" ? [{ field: "full_title", description: "is dull" }] : [],
      ...(reason === "TOO_MANY_FAILURES" && { retryAfterSeconds: 7 }),
    });
  },
  hide: () => ({}),
};

/** The library with its handlers; `Forget` has none. */
export const libraryServices: readonly ServiceRegistration[] = [
  { service: libraryService, implementation: handlers as unknown as ServiceRegistration["implementation"] },
  {
    service: oldService,
    implementation: {
      getOldBook: ({ id }: Request) => {
        if (id === "gone") throw new DomainError("NOT_FOUND", { message: "book is gone" });
        return { fullTitle: `${id}` };
      },
    } as unknown as ServiceRegistration["implementation"],
  },
];

import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, createRouterTransport } from "@connectrpc/connect";
import {
  FrontdoorAuthProviderService,
  type WatchAuthProvidersRequest,
  WatchAuthProvidersResponseSchema,
} from "@vestibule/proto/vestibule/v1/frontdoor_auth_provider_service_pb";
import { describe, expect, it } from "vitest";
import { watchAuthProviders } from "../../shared/src/watch-auth-providers.ts";

type Message = MessageInitShape<typeof WatchAuthProvidersResponseSchema>;

/** What a stream says, and what it ends with: an error, or by hanging until it is aborted. */
interface Script {
  readonly messages?: readonly Message[];
  readonly error?: ConnectError;
  readonly hangs?: boolean;
}

const provider = (id: string, name = id): Message => ({ authProvider: { id, name } });
const begin = { event: "snapshot_begin" };
const end = (resumeToken: string) => ({ event: "snapshot_end", resumeToken });
const snapshot = (id: string) => ({ event: "snapshot", ...provider(id) });
const lost = new ConnectError("gone", Code.Unavailable);

/** A server that answers one stream after the other as told, and the waits between them. */
function play(scripts: readonly Script[], options: { maxSilenceMs?: number } = {}) {
  const requests: string[] = [];
  const errors: string[] = [];
  const waits: number[] = [];
  const stop = new AbortController();
  const transport = createRouterTransport((router) => {
    router.service(FrontdoorAuthProviderService, {
      async *watchAuthProviders(request: WatchAuthProvidersRequest, context) {
        const script = scripts[requests.length] ?? { hangs: true };
        requests.push(request.resumeToken);
        for (const message of script.messages ?? []) yield create(WatchAuthProvidersResponseSchema, message);
        if (script.error !== undefined) throw script.error;
        if (script.hangs) {
          await new Promise((_, reject) => {
            context.signal.addEventListener("abort", () => reject(new ConnectError("cut", Code.Canceled)));
          });
        }
      },
    });
  });
  const client = createClient(FrontdoorAuthProviderService, transport);
  const updates = watchAuthProviders(
    client,
    {
      frontdoorId: "f",
      signal: stop.signal,
      onReconnect: (error) => errors.push(Code[ConnectError.from(error).code] ?? ""),
      ...options,
    },
    { random: () => 1, sleep: async (ms) => void waits.push(ms) },
  );
  return { requests, errors, waits, stop, updates };
}

/** Names in the order of the map, and what changed, of each update. */
async function collect(played: ReturnType<typeof play>, count: number): Promise<string[]> {
  const seen: string[] = [];
  for await (const { providers, change } of played.updates) {
    const names = [...providers.values()].map(({ name }) => name).join(",");
    seen.push(change === undefined ? names : `${names} ${change.event} ${change.authProvider.id}`);
    if (seen.length === count) played.stop.abort();
  }
  return seen;
}

describe("watchAuthProviders", () => {
  it("tells all providers at once, then each change", async () => {
    const played = play([
      {
        messages: [
          begin,
          snapshot("a"),
          snapshot("b"),
          end("1"),
          { event: "created", ...provider("c"), resumeToken: "2" },
          { event: "alive", resumeToken: "2" },
          { event: "updated", ...provider("a", "A"), resumeToken: "3" },
          { event: "deleted", ...provider("b"), resumeToken: "4" },
        ],
        hangs: true,
      },
    ]);
    expect(await collect(played, 4)).toEqual(["a,b", "a,b,c created c", "A,b,c updated a", "A,c deleted b"]);
    expect([played.requests, played.errors]).toEqual([[""], []]);
  });

  it("goes on after the last message, whatever cut the stream, and waits longer each time", async () => {
    const played = play([
      { messages: [begin, snapshot("a"), end("1")], error: lost },
      { error: lost },
      { error: new ConnectError("full", Code.ResourceExhausted) },
      {},
      {
        messages: [
          { event: "alive", resumeToken: "1" },
          { event: "created", ...provider("b"), resumeToken: "2" },
        ],
      },
    ]);
    expect(await collect(played, 2)).toEqual(["a", "a,b created b"]);
    expect(played.requests).toEqual(["", "1", "1", "1", "1"]);
    expect(played.errors).toEqual(["Unavailable", "Unavailable", "ResourceExhausted", "Unavailable"]);
    expect(played.waits).toEqual([500, 1000, 2000, 4000]);
  });

  it("begins a snapshot that was cut again, and shows none by halves", async () => {
    const played = play([
      { messages: [begin, snapshot("a")], error: lost },
      { messages: [begin, snapshot("b"), end("5")], error: lost },
      { messages: [begin, snapshot("c"), end("9")], hangs: true },
    ]);
    expect(await collect(played, 2)).toEqual(["b", "c"]);
    expect(played.requests).toEqual(["", "", "5"]);
  });

  it("begins anew where its place is not known", async () => {
    const unknown = new ConnectError("resume_token", Code.InvalidArgument);
    const played = play([
      { messages: [begin, end("1")], error: lost },
      { error: unknown },
      { messages: [begin, snapshot("a"), end("1")], error: unknown },
      { error: unknown },
    ]);
    await expect(collect(played, 9)).rejects.toThrow("resume_token");
    expect(played.requests).toEqual(["", "1", "", ""]);
  });

  it("brings a new token where one ended, and gives up where the new one is refused", async () => {
    const ended = new ConnectError("not authenticated", Code.Unauthenticated);
    const played = play([
      { messages: [begin, snapshot("x")], error: ended },
      { messages: [begin, end("1")], error: ended },
      { messages: [{ event: "created", ...provider("a"), resumeToken: "2" }], error: ended },
      { error: ended },
    ]);
    await expect(collect(played, 9)).rejects.toThrow("not authenticated");
    expect(played.requests).toEqual(["", "", "1", "2"]);
    await expect(collect(play([{ error: ended }]), 9)).rejects.toThrow("not authenticated");
  });

  it.each([Code.NotFound, Code.PermissionDenied, Code.FailedPrecondition, Code.Unimplemented])(
    "does not try again what is refused (%s)",
    async (code) => {
      const played = play([{ error: new ConnectError("no", code) }]);
      await expect(collect(played, 1)).rejects.toMatchObject({ code });
      expect(played.waits).toEqual([]);
    },
  );

  it("counts a connection without heartbeats as lost", async () => {
    const played = play(
      [
        { messages: [begin, end("1")], hangs: true },
        { messages: [{ event: "created", ...provider("a"), resumeToken: "2" }], hangs: true },
      ],
      { maxSilenceMs: 5 },
    );
    expect(await collect(played, 2)).toEqual(["", "a created a"]);
    expect(played.requests.slice(0, 2)).toEqual(["", "1"]);
  });

  it("ends quietly when it is aborted, also while it waits or before it began", async () => {
    const hanging = play([{ messages: [begin, end("1")], hangs: true }]);
    expect(await hanging.updates.next()).toMatchObject({ done: false });
    const next = hanging.updates.next();
    hanging.stop.abort();
    expect(await next).toEqual({ done: true, value: undefined });
    const never = play([]);
    never.stop.abort();
    expect(await never.updates.next()).toEqual({ done: true, value: undefined });
    expect(never.requests).toEqual([]);
  });
});

/**
 * Follows the auth providers of a frontdoor for as long as it takes: over lost
 * connections, servers that restart and tokens that end in the middle. What a
 * stream has told before it ended is not told again by the next one.
 */
import { type Client, Code, ConnectError } from "@connectrpc/connect";
import type { AuthProvider } from "@vestibule/proto/vestibule/v1/frontdoor_auth_provider_pb";
import type {
  FrontdoorAuthProviderService,
  WatchAuthProvidersResponse,
} from "@vestibule/proto/vestibule/v1/frontdoor_auth_provider_service_pb";
import { findRetryDelayMs } from "./errors.ts";
import { untilAborted } from "./until-aborted.ts";

/** The providers of a frontdoor, and what has just become of one of them. */
export interface AuthProvidersUpdate {
  /** All there are now, by id; the same map until the server begins anew. */
  readonly providers: ReadonlyMap<string, AuthProvider>;
  /** Absent when the server has told all providers anew: at first, and after more than an hour away. */
  readonly change?: AuthProviderChange;
}

/** A change of one provider. */
export interface AuthProviderChange {
  readonly event: "created" | "updated" | "deleted";
  /** As it is now; a deleted one as it was last, without its data. */
  readonly authProvider: AuthProvider;
}

/** Which frontdoor is watched, until when, and how long its stream may be silent. */
export interface WatchAuthProvidersOptions {
  readonly frontdoorId: string;
  /** Ends the loop, quietly. */
  readonly signal?: AbortSignal | undefined;
  /** Hears why a stream ended, each time that another one is going to be opened. */
  readonly onReconnect?: ((error: unknown) => void) | undefined;
  /** After how much silence a connection counts as lost. Default 45000: three heartbeats of the server. */
  readonly maxSilenceMs?: number | undefined;
}

/** What waiting needs from its surroundings. */
export interface WatchSurroundings {
  /** A number from 0 up to 1. */
  readonly random: () => number;
  readonly sleep: (ms: number) => Promise<void>;
}

const systemSurroundings: WatchSurroundings = {
  random: Math.random,
  sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
};

/** Where a watcher is. */
interface Place {
  resumeToken: string;
  providers: Map<string, AuthProvider>;
  /** A snapshot that is still being told. */
  begun: Map<string, AuthProvider> | undefined;
  /** Whether the server has ever let this watcher in. */
  isKnown: boolean;
  /** Streams in a row that ended before they said anything. */
  failures: number;
}

/** What another try may mend; everything else is a refusal. */
const passing: ReadonlySet<Code> = new Set([
  Code.Unavailable,
  Code.DeadlineExceeded,
  Code.Canceled,
  Code.Aborted,
  Code.ResourceExhausted,
  Code.Internal,
  Code.Unknown,
]);

const defaultMaxSilenceMs = 45_000;
const firstDelayMs = 500;
const longestDelayMs = 30_000;

/**
 * The providers of a frontdoor, and an update with every change of them.
 *
 * @throws ConnectError what the server refuses: the frontdoor, the role, the
 *   credential where a new one is refused as well.
 */
export async function* watchAuthProviders(
  client: Pick<Client<typeof FrontdoorAuthProviderService>, "watchAuthProviders">,
  options: WatchAuthProvidersOptions,
  { random, sleep }: WatchSurroundings = systemSurroundings,
): AsyncGenerator<AuthProvidersUpdate, void, undefined> {
  const { signal, onReconnect } = options;
  const place: Place = {
    resumeToken: "",
    providers: new Map(),
    begun: undefined,
    isKnown: false,
    failures: 0,
  };
  while (!signal?.aborted) {
    try {
      yield* followStream(client, options, place);
    } catch (error) {
      if (signal?.aborted) return;
      if (!mayMend(error, place)) throw error;
      place.failures += 1;
      onReconnect?.(error);
      const ceilingMs = Math.min(longestDelayMs, firstDelayMs * 2 ** (place.failures - 1));
      const wait = sleep((findRetryDelayMs(error) ?? 0) + random() * ceilingMs);
      await untilAborted(wait, signal).catch(() => {});
    }
  }
}

/** One stream, to its end, which always is an error. */
async function* followStream(
  client: Pick<Client<typeof FrontdoorAuthProviderService>, "watchAuthProviders">,
  { frontdoorId, signal, maxSilenceMs = defaultMaxSilenceMs }: WatchAuthProvidersOptions,
  place: Place,
): AsyncGenerator<AuthProvidersUpdate, void, undefined> {
  const ending = new AbortController();
  const end = (): void => ending.abort(signal?.reason);
  signal?.addEventListener("abort", end, { once: true });
  let silence: ReturnType<typeof setTimeout> | undefined;
  const listen = (): void => {
    clearTimeout(silence);
    silence = setTimeout(
      () => ending.abort(new ConnectError("no heartbeat", Code.Unavailable)),
      maxSilenceMs,
    );
  };
  try {
    listen();
    const request = { frontdoorId, resumeToken: place.resumeToken };
    for await (const message of client.watchAuthProviders(request, { signal: ending.signal })) {
      // A consumer that takes its time is no silence of the server's.
      clearTimeout(silence);
      place.isKnown = true;
      place.failures = 0;
      const update = apply(message, place);
      if (update !== undefined) yield update;
      if (signal?.aborted) return;
      listen();
    }
  } finally {
    clearTimeout(silence);
    signal?.removeEventListener("abort", end);
    ending.abort();
  }
  throw new ConnectError("the stream ended", Code.Unavailable);
}

/** Takes a message in; answers what a consumer hears of it, if anything. */
function apply(message: WatchAuthProvidersResponse, place: Place): AuthProvidersUpdate | undefined {
  const { event, authProvider, resumeToken } = message;
  if (resumeToken !== "") place.resumeToken = resumeToken;
  switch (event) {
    case "snapshot_begin":
      place.begun = new Map();
      return undefined;
    case "snapshot":
      if (authProvider !== undefined) place.begun?.set(authProvider.id, authProvider);
      return undefined;
    case "snapshot_end":
      place.providers = place.begun ?? new Map();
      place.begun = undefined;
      return { providers: place.providers };
    case "created":
    case "updated":
    case "deleted":
      if (authProvider === undefined) return undefined;
      if (event === "deleted") place.providers.delete(authProvider.id);
      else place.providers.set(authProvider.id, authProvider);
      return { providers: place.providers, change: { event, authProvider } };
    default:
      return undefined;
  }
}

/** Whether another stream may do better. Notes what the next one has to do otherwise. */
function mayMend(error: unknown, place: Place): boolean {
  const { code } = ConnectError.from(error);
  // The token ended in the middle: the next stream brings a new one, which the server has to take.
  if (code === Code.Unauthenticated) return place.isKnown && place.failures === 0;
  if (code === Code.InvalidArgument && place.resumeToken !== "") {
    // A place of another database: begin anew.
    place.resumeToken = "";
    return true;
  }
  return passing.has(code);
}

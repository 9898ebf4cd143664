/** A page and a server that exist in the test alone; what travels between them is real. */
import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import {
  Code,
  ConnectError,
  createConnectRouter,
  type HandlerContext,
  type ServiceImpl,
} from "@connectrpc/connect";
import { createFetchHandler } from "@connectrpc/connect/protocol";
import { ErrorInfoSchema } from "@vestibule/proto/google/rpc/error_details_pb";
import { AuthService } from "@vestibule/proto/vestibule/v1/auth_service_pb";
import type { Ceremonies, CeremonyJson } from "../src/passkeys/ceremonies.ts";
import { SignInError } from "../src/sign-in-error.ts";
import { type Channel, createPageLocks, type Surroundings } from "../src/surroundings.ts";

/** Channels that are open, by name: the tabs of one origin. */
export type TabSet = Map<string, Set<{ hear(message: unknown): void }>>;

/** The locks of each origin, which its tabs share. */
const locks = new WeakMap<TabSet, Surroundings["lock"]>();

interface Timer {
  readonly atMs: number;
  readonly work: () => void;
}

/** A page in the test's hand. */
export class FakePage implements Surroundings {
  readonly tabs: TabSet;
  readonly #timers = new Set<Timer>();
  readonly #visibilityListeners = new Set<() => void>();
  #isVisible = true;
  #elapsedMs = 0;
  /** How far the wall clock is ahead. */
  wallOffsetMs = 0;
  url = "https://app.example/";
  readonly visited: string[] = [];
  readonly ceremonies = new FakeCeremonies();

  constructor(tabs: TabSet = new Map()) {
    this.tabs = tabs;
  }

  readonly clock = {
    now: () => new Date(startMs + this.#elapsedMs + this.wallOffsetMs),
    monotonicMs: () => this.#elapsedMs,
  };
  readonly random = () => 0;
  readonly startTimer = (work: () => void, ms: number) => {
    const timer = { atMs: this.#elapsedMs + ms, work };
    this.#timers.add(timer);
    return () => void this.#timers.delete(timer);
  };
  readonly isVisible = () => this.#isVisible;
  readonly onVisibility = (listener: () => void) => {
    this.#visibilityListeners.add(listener);
    return () => void this.#visibilityListeners.delete(listener);
  };
  readonly openChannel = (name: string, onMessage: (message: unknown) => void): Channel => {
    const others = this.tabs.get(name) ?? new Set();
    this.tabs.set(name, others);
    const own = { hear: onMessage };
    others.add(own);
    return {
      post(message) {
        for (const each of others) if (each !== own) each.hear(structuredClone(message));
      },
      close: () => void others.delete(own),
    };
  };
  readonly lock: Surroundings["lock"] = (name, signal) => {
    const shared = locks.get(this.tabs) ?? createPageLocks();
    locks.set(this.tabs, shared);
    return shared(name, signal);
  };
  readonly navigate = (url: string) => void this.visited.push(url);
  readonly currentUrl = () => this.url;
  readonly replaceUrl = (url: string) => {
    this.url = url;
  };

  /** How many timers wait. */
  get timers(): number {
    return this.#timers.size;
  }

  show(isVisible: boolean): void {
    this.#isVisible = isVisible;
    for (const listener of [...this.#visibilityListeners]) listener();
  }

  /** Lets time pass, and what was due happen, with its consequences. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.#elapsedMs + ms;
    for (;;) {
      const [next] = [...this.#timers].toSorted((a, b) => a.atMs - b.atMs);
      if (next === undefined || next.atMs > untilMs) break;
      this.#timers.delete(next);
      this.#elapsedMs = Math.max(this.#elapsedMs, next.atMs);
      next.work();
      await settle();
    }
    this.#elapsedMs = untilMs;
  }
}

const startMs = Date.parse("2026-11-22T12:00:00Z");

/** Waits for everything that needs no time, the calls to the fake server included. */
export async function settle(): Promise<void> {
  for (let turns = 0; turns < 40; turns++) await new Promise((resolve) => setImmediate(resolve));
}

/** An authenticator that waits until the test answers. */
class FakeCeremonies implements Ceremonies {
  supported = true;
  autofill = true;
  /** Options of every ceremony, in order. */
  readonly begun: { readonly type: "register" | "authenticate"; readonly options: CeremonyJson }[] = [];
  #waiting: PromiseWithResolvers<CeremonyJson> | undefined;

  isSupported = () => this.supported;
  isAutofillSupported = async () => this.autofill;
  register = (options: CeremonyJson) => this.#begin("register", options);
  authenticate = (options: CeremonyJson) => this.#begin("authenticate", options);
  cancel = () => this.fail(new SignInError("passkey_superseded"));

  answer(answer: CeremonyJson): void {
    this.#waiting?.resolve(answer);
    this.#waiting = undefined;
  }

  fail(error: Error): void {
    this.#waiting?.reject(error);
    this.#waiting = undefined;
  }

  #begin(type: "register" | "authenticate", options: CeremonyJson): Promise<CeremonyJson> {
    this.cancel();
    this.begun.push({ type, options });
    this.#waiting = Promise.withResolvers();
    return this.#waiting.promise;
  }
}

/** Refuses as Vestibule does. */
export function refusal(code: Code, reason: string, metadata: Record<string, string> = {}): ConnectError {
  const error = new ConnectError(reason.toLowerCase(), code);
  error.details = [
    { desc: ErrorInfoSchema, value: create(ErrorInfoSchema, { domain: "vestibule", reason, metadata }) },
  ];
  return error;
}

export const unauthenticated = () => refusal(Code.Unauthenticated, "NOT_AUTHENTICATED");

/** A server whose session is in the test's hand. */
export class FakeServer {
  /** The session that the browser's cookie stands for. */
  session: { id: string; email: string; expiresAt: Date } | undefined;
  /** Names of the methods that were called. */
  calls: string[] = [];
  /** What a method does instead, once. */
  readonly next = new Map<string, () => unknown>();
  readonly methods: Partial<ServiceImpl<typeof AuthService>>;

  constructor(methods: Partial<ServiceImpl<typeof AuthService>> = {}) {
    this.methods = methods;
  }

  signIn(id: string, lifetimeMs = 720 * 3_600_000): void {
    this.session = { id, email: `${id}@example.org`, expiresAt: new Date(startMs + lifetimeMs) };
  }

  countOf(method: string): number {
    return this.calls.filter((call) => call === method).length;
  }

  readonly fetch: typeof globalThis.fetch = async (input, init) => {
    if (init?.credentials !== "include") throw new Error("no cookies were sent");
    init.signal?.throwIfAborted();
    const { pathname } = new URL(String(input));
    const handler = this.#router().handlers.find(({ requestPath }) => requestPath === pathname);
    if (handler === undefined) return new Response(null, { status: 404 });
    return await createFetchHandler(handler)(new Request(input, init));
  };

  #router() {
    const own: Partial<ServiceImpl<typeof AuthService>> = {
      getCurrentUser: () => ({ user: { id: "u", email: this.#require().email } }),
      listSessions: () => {
        const { id, expiresAt } = this.#require();
        const createdAt = timestampFromDate(new Date(startMs));
        const session = { id, createdAt, expiresAt: timestampFromDate(expiresAt), isCurrentSession: true };
        return { sessions: [{ id: "other", createdAt, expiresAt: createdAt }, session] };
      },
      pingUserSession: () => {
        this.#require();
        return {};
      },
      authToken: (_, { requestHeader }) => ({
        accessToken: `${this.#require().id} ${requestHeader.get("x-project") ?? requestHeader.get("x-organization") ?? "-"} ${this.countOf("AuthToken")}`,
        expiresIn: 3600,
      }),
      authLogout: () => {
        this.session = undefined;
        return {};
      },
      revokeAllSessions: ({ keepCurrent }) => {
        this.#require();
        if (!keepCurrent) this.session = undefined;
        return { revoked: 2 };
      },
      ...this.methods,
    };
    const counted = Object.entries(own).map(([name, handle]) => [
      name,
      async (request: never, context: HandlerContext) => {
        this.calls.push(context.method.name);
        const instead = this.next.get(context.method.name);
        this.next.delete(context.method.name);
        await instead?.();
        return await (handle as (request: never, context: HandlerContext) => unknown)(request, context);
      },
    ]);
    return createConnectRouter().service(AuthService, Object.fromEntries(counted));
  }

  #require() {
    if (this.session === undefined) throw unauthenticated();
    return this.session;
  }
}

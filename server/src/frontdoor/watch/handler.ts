import { hash } from "node:crypto";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import {
  type FrontdoorAuthProviderService,
  type WatchAuthProvidersResponse,
  WatchAuthProvidersResponseSchema,
} from "@vestibule/proto/vestibule/v1/frontdoor_auth_provider_service_pb";
import { requireCaller } from "../../principals/context.ts";
import type { Principal } from "../../principals/principal.ts";
import type { ToProviderMessage } from "../providers/messages.ts";
import type { Provider, ProviderChange } from "../providers/provider.ts";
import type { ProviderWatch, WatchEvent } from "./watch.ts";

/** What watching stands on. */
export interface WatchHandlerOptions {
  readonly watch: ProviderWatch;
  readonly toProviderMessage: ToProviderMessage;
  /** Proves the caller of a stream anew from what its request carried. */
  readonly authenticate: (header: Headers) => Promise<Principal>;
  /** Aborts when the server begins to stop. */
  readonly stopping: AbortSignal;
}

/** Following the providers of a frontdoor. */
export function createWatchMethods(options: WatchHandlerOptions) {
  const { watch, authenticate, stopping } = options;
  const toWatchMessage = createToWatchMessage(options.toProviderMessage);
  return {
    async *watchAuthProviders({ frontdoorId, resumeToken }, context) {
      const { requestHeader } = context;
      const events = watch.watch(requireCaller(context), {
        frontdoorId,
        resumeToken,
        authenticate: () => authenticate(requestHeader),
        credential: toCredentialName(requestHeader),
        signal: AbortSignal.any([context.signal, stopping]),
      });
      for await (const event of events) yield toWatchMessage(event);
    },
  } satisfies Partial<ServiceImpl<typeof FrontdoorAuthProviderService>>;
}

/** Everything that a request can prove its caller with, as a hash. */
function toCredentialName(header: Headers): string {
  const proofs = ["authorization", "x-user-token", "cookie"].map((name) => header.get(name));
  return hash("sha256", JSON.stringify(proofs), "base64url");
}

function createToWatchMessage(toProviderMessage: ToProviderMessage) {
  /** Of changes, made once for all who watch. */
  const made = new WeakMap<ProviderChange, WatchAuthProvidersResponse>();

  function toProviderFields(provider: Provider) {
    return { authProvider: toProviderMessage(provider), revision: provider.revision };
  }

  function toChangeMessage(
    { event, provider }: ProviderChange,
    resumeToken: string,
  ): WatchAuthProvidersResponse {
    if (event !== "deleted") return toMessage({ event, ...toProviderFields(provider), resumeToken });
    const { id, name, type, enabled, revision } = provider;
    return toMessage({ event, authProvider: { id, name, type, enabled }, revision, resumeToken });
  }

  return (event: WatchEvent): WatchAuthProvidersResponse => {
    switch (event.kind) {
      case "snapshot_begin":
        return toMessage({ event: event.kind });
      case "snapshot":
        return toMessage({ event: event.kind, ...toProviderFields(event.provider) });
      case "snapshot_end":
      case "alive":
        return toMessage({ event: event.kind, resumeToken: event.resumeToken });
      case "change": {
        const known = made.get(event.change);
        if (known !== undefined) return known;
        const message = toChangeMessage(event.change, event.resumeToken);
        made.set(event.change, message);
        return message;
      }
    }
  };
}

function toMessage(
  init: MessageInitShape<typeof WatchAuthProvidersResponseSchema>,
): WatchAuthProvidersResponse {
  return create(WatchAuthProvidersResponseSchema, init);
}

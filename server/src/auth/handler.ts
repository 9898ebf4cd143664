import type { ServiceImpl } from "@connectrpc/connect";
import type { AuthService } from "@vestibule/proto/vestibule/v1/auth_service_pb";
import { createFlowMethods, type FlowMethodsOptions } from "./flow-handler.ts";
import { createIdentityMethods, type IdentityMethodsOptions } from "./identity-handler.ts";
import { createPasskeyMethods, type PasskeyMethodsOptions } from "./passkey-handler.ts";
import { createSessionMethods, type SessionMethodsOptions } from "./session-handler.ts";
import { createTokenMethods, type TokenMethodsOptions } from "./token-handler.ts";

export interface AuthHandlerOptions
  extends TokenMethodsOptions,
    FlowMethodsOptions,
    SessionMethodsOptions,
    PasskeyMethodsOptions,
    IdentityMethodsOptions {
  readonly web: FlowMethodsOptions["web"];
}

/** `vestibule.v1.AuthService`, put together from its parts. */
export function createAuthHandler(options: AuthHandlerOptions): Partial<ServiceImpl<typeof AuthService>> {
  return {
    ...createTokenMethods(options),
    ...createFlowMethods(options),
    ...createSessionMethods(options),
    ...createPasskeyMethods(options),
    ...createIdentityMethods(options),
  };
}

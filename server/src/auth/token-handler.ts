import type { ServiceImpl } from "@connectrpc/connect";
import type { AuthService } from "@vestibule/proto/vestibule/v1/auth_service_pb";
import { requestInfoKey } from "../lib/request.ts";
import type { Grants } from "../tokens/grants.ts";
import type { Keyring } from "../tokens/keyring.ts";
import { clearDeadSession } from "./flow-handler.ts";
import type { SignInWeb } from "./web.ts";

export interface TokenMethodsOptions {
  readonly grants: Grants;
  readonly keyring: Keyring;
  readonly web: Pick<SignInWeb, "clearDeadSession">;
}

/** The methods of AuthService about access tokens. */
export function createTokenMethods({ grants, keyring, web }: TokenMethodsOptions) {
  return {
    async authToken(request, context) {
      const { grantType, clientId, clientSecret, assertion } = request;
      const { token } = await grants.exchange(
        { grantType, clientId, clientSecret, assertion, header: context.requestHeader },
        context.values.get(requestInfoKey),
      );
      context.responseHeader.set("cache-control", "no-store");
      return { accessToken: token.token, tokenType: "Bearer", expiresIn: token.expiresInSeconds };
    },
    async getJWKs(_request, context) {
      await clearDeadSession(context, web);
      const { jwks } = await keyring.get();
      return { keys: jwks.keys.map((key) => ({ ...key })) };
    },
  } satisfies Partial<ServiceImpl<typeof AuthService>>;
}

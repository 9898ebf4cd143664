import type { ServiceImpl } from "@connectrpc/connect";
import type { AuthService } from "@vestibule/proto/vestibule/v1/auth_service_pb";
import { requestInfoKey } from "../lib/request.ts";
import type { Grants } from "./grants.ts";
import type { Keyring } from "./keyring.ts";

/** Parts that the methods about access tokens call. */
export interface TokenMethodsOptions {
  readonly grants: Grants;
  readonly keyring: Keyring;
  /** `Set-Cookie` that clears a session cookie of the request which is no good any more. */
  readonly clearDeadSession: (header: Headers) => Promise<readonly string[]> | undefined;
}

/** The methods of AuthService about access tokens. */
export function createTokenMethods({ grants, keyring, clearDeadSession }: TokenMethodsOptions) {
  return {
    async authToken(request, context) {
      const { grantType, clientId, clientSecret, assertion, orgId: organization } = request;
      const { token } = await grants.exchange(
        { grantType, clientId, clientSecret, assertion, organization, header: context.requestHeader },
        context.values.get(requestInfoKey),
      );
      context.responseHeader.set("cache-control", "no-store");
      return { accessToken: token.token, tokenType: "Bearer", expiresIn: token.expiresInSeconds };
    },
    async getJWKs(_request, context) {
      for (const cookie of (await clearDeadSession(context.requestHeader)) ?? [])
        context.responseHeader.append("set-cookie", cookie);
      const { jwks } = await keyring.get();
      return { keys: jwks.keys.map((key) => ({ ...key })) };
    },
  } satisfies Partial<ServiceImpl<typeof AuthService>>;
}

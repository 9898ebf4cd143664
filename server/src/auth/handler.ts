import type { ServiceImpl } from "@connectrpc/connect";
import type { AuthService } from "@vestibule/proto/vestibule/v1/auth_service_pb";
import type { ServiceUser as ServiceUserMessage } from "@vestibule/proto/vestibule/v1/service_user_pb";
import { DomainError } from "../lib/errors.ts";
import { requestInfoKey } from "../lib/request.ts";
import { requirePrincipal } from "../principals/context.ts";
import type { Grants } from "../tokens/grants.ts";
import type { Keyring } from "../tokens/keyring.ts";

export interface AuthHandlerOptions {
  readonly grants: Grants;
  readonly keyring: Keyring;
  /** The service user of an id, as answered; undefined when it is gone. */
  readonly findServiceUser: (id: string) => Promise<ServiceUserMessage | undefined>;
}

/** `vestibule.v1.AuthService`. */
export function createAuthHandler(options: AuthHandlerOptions): Partial<ServiceImpl<typeof AuthService>> {
  const { grants, keyring, findServiceUser } = options;
  return {
    listAuthStrategies: () => ({ strategies: [] }),
    async authToken(request, context) {
      const { grantType, clientId, clientSecret, assertion } = request;
      const { token } = await grants.exchange(
        { grantType, clientId, clientSecret, assertion, header: context.requestHeader },
        context.values.get(requestInfoKey),
      );
      context.responseHeader.set("cache-control", "no-store");
      return { accessToken: token.token, tokenType: "Bearer", expiresIn: token.expiresInSeconds };
    },
    async getJWKs() {
      const { jwks } = await keyring.get();
      return { keys: jwks.keys.map((key) => ({ ...key })) };
    },
    async getCurrentUser(_request, context) {
      const principal = requirePrincipal(context);
      if (principal.type === "user") throw new DomainError("USER_NOT_FOUND");
      const serviceuser = await findServiceUser(principal.id);
      if (serviceuser === undefined) throw new DomainError("USER_NOT_FOUND");
      return { serviceuser };
    },
  };
}

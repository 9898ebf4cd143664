/** Who stands behind a credential, whichever kind it is: the judges of the rooms, side by side. */
import type { Principal } from "../principals/principal.ts";
import type { AccessTokens } from "./access-token.ts";
import type { AssertionAuthenticator } from "./assertions.ts";
import type { AccessTokenClaims } from "./claims.ts";
import type { CredentialJudges } from "./proofs.ts";

/** What an access token says of where it came from. */
interface TokenOrigin {
  readonly authVia: AccessTokenClaims["auth_via"];
  readonly tokenId: string;
}

/** Prove service users. */
export interface ServiceUserJudges {
  authenticateSecret(id: string, secret: string): Promise<Principal>;
  authenticateOpaqueToken(token: string): Promise<Principal>;
  authenticateTokenSubject(
    subject: TokenOrigin & { readonly serviceUserId: string; readonly credentialId: string },
  ): Promise<Principal>;
}

/** Prove people. */
export interface SessionJudges {
  authenticateCookie(cookie: string): Promise<Principal>;
  authenticateTokenSubject(
    subject: TokenOrigin & { readonly userId: string; readonly sessionId: string },
  ): Promise<Principal>;
}

/** Every judge, with sessions. */
export type AllJudges = Required<CredentialJudges>;

/** Puts the judges side by side; an access token goes to the one of its subject. */
export function createCredentialJudges(
  accessTokens: Pick<AccessTokens, "verify">,
  serviceUsers: ServiceUserJudges,
  sessions: SessionJudges,
  assertions: AssertionAuthenticator,
): AllJudges {
  return {
    basic: serviceUsers.authenticateSecret,
    opaqueToken: serviceUsers.authenticateOpaqueToken,
    async accessToken(token) {
      const claims = await accessTokens.verify(token);
      const { sub, credential_id: credentialId = "", auth_via: authVia, jti: tokenId } = claims;
      const origin = { authVia, tokenId };
      const principal =
        claims.sub_type === "app/user"
          ? await sessions.authenticateTokenSubject({ userId: sub, sessionId: credentialId, ...origin })
          : await serviceUsers.authenticateTokenSubject({ serviceUserId: sub, credentialId, ...origin });
      return { principal, claims };
    },
    session: sessions.authenticateCookie,
    assertions,
  };
}

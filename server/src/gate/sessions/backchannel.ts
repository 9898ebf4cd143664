/**
 * Where providers say that somebody has signed out there: OpenID Connect
 * Back-Channel Logout 1.0 §2.5 to §2.8. The token proves who asks; it is good
 * once, and its sessions end before the answer.
 */

import { hash } from "node:crypto";
import type { Database, Reader } from "../../db/database.ts";
import { findFrontdoor } from "../../frontdoor/frontdoors/store.ts";
import type { ProviderTypes } from "../../frontdoor/provider-types/provider-types.ts";
import { providerPaths } from "../../frontdoor/provider-types/provider-urls.ts";
import { findProvider } from "../../frontdoor/providers/store.ts";
import type { PlainRoute } from "../../http/plain-route.ts";
import { invalidRequest } from "../../lib/invalid-request.ts";
import { consumeAssertion } from "../../tokens/assertion-store.ts";
import { type OauthEndpoint, toOauthRoute } from "../../tokens/oauth-endpoint.ts";
import type { GateSessionService } from "./service.ts";

/** What ending sessions for a provider stands on. */
export interface BackchannelOptions {
  readonly database: Database;
  readonly types: Pick<ProviderTypes, "get">;
  readonly sessions: Pick<GateSessionService, "endByProvider">;
}

const path = `${providerPaths.backchannel}/{id}`;

/** Longest request: a logout token is a small JWT. */
const mostBytes = 32_768;

/** Makes the route. */
export function createBackchannelRoute(options: BackchannelOptions): PlainRoute {
  return toOauthRoute(path, createBackchannelLogout(options), mostBytes);
}

/** Makes what answers there. */
export function createBackchannelLogout({ database, types, sessions }: BackchannelOptions): OauthEndpoint {
  async function find(id: string) {
    const { reader } = database;
    const stored = await findProvider(reader, id);
    const orgId = stored && (await findOrgId(reader, stored.frontdoorId));
    if (stored === undefined || orgId === undefined || !stored.enabled) return undefined;
    const { login } = types.get(stored.type);
    if (login?.kind !== "provider" || login.verifyLogout === undefined) return undefined;
    const instance = { id, orgId, data: stored.data };
    const { verifyLogout } = login;
    return { id, orgId, verify: (token: string) => verifyLogout.call(login, instance, token) };
  }

  return async ({ form, path: asked, info }) => {
    const token = form.get("logout_token");
    if (token === undefined) throw invalidRequest("logout_token is missing");
    const provider = await find(asked.slice(asked.lastIndexOf("/") + 1).toLowerCase());
    if (provider === undefined) throw invalidRequest("no auth provider here takes a logout token");
    const logout = await provider.verify(token);
    if (!logout.allowed) {
      info.outcome.detail = `${logout.reason}: ${logout.detail}`;
      // §2.8: what is no logout that was carried out is a 400, whatever it is.
      const isUntold = logout.reason === "unavailable";
      throw invalidRequest(isUntold ? "logout_token cannot be verified now" : "logout_token is not good");
    }
    const { subject, sid, jti, goodUntil } = logout;
    await database.transaction(async (tx) => {
      if (!(await consumeAssertion(tx, hashLogout(provider.id, jti), goodUntil))) {
        throw invalidRequest("logout_token was used before");
      }
      await sessions.endByProvider(tx, provider.orgId, {
        providerId: provider.id,
        ...(subject !== undefined && { subject }),
        ...(sid !== undefined && { sid }),
      });
    });
    return "";
  };
}

async function findOrgId(reader: Reader, frontdoorId: string): Promise<string | undefined> {
  return (await findFrontdoor(reader, frontdoorId))?.orgId;
}

/** As the table of used assertions names it: no provider uses up another's. */
function hashLogout(providerId: string, jti: string): string {
  return hash("sha256", `logout ${providerId} ${jti}`, "base64url");
}

/** `@vestibule/node/fastify`: access tokens for Fastify 5. */
import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from "fastify";
import type { AccessTokenClaims } from "../verify/claims.ts";
import type { Role } from "../verify/roles.ts";
import type { Verifier } from "../verify/verifier.ts";
import { authorize, type BearerOptions, findRefusal } from "./bearer.ts";
import { checkRole, type RoleOptions } from "./role.ts";

export type { BearerOptions } from "./bearer.ts";
export type { RoleOptions } from "./role.ts";

declare module "fastify" {
  interface FastifyRequest {
    /** Claims of the access token, in scopes with {@link requireAccessToken}; null elsewhere. */
    claims: AccessTokenClaims | null;
  }
}

/** How a route checks the access tokens of its callers. */
export interface RequireAccessTokenOptions extends BearerOptions {
  readonly verifier: Verifier;
}

/**
 * A plugin: every route of the scope it is registered in, and of the scopes
 * within, sees requests with a good access token only, its claims in
 * `request.claims`. All others are answered by RFC 6750 before their body is
 * read.
 */
export const requireAccessToken: FastifyPluginAsync<RequireAccessTokenOptions> = async (
  fastify,
  { verifier, ...options },
) => {
  if (!fastify.hasRequestDecorator("claims")) fastify.decorateRequest("claims", null);
  fastify.addHook("onRequest", async (request: FastifyRequest, reply: FastifyReply) => {
    try {
      request.claims = await authorize(verifier, request.headers.authorization, options);
    } catch (error) {
      const refusal = findRefusal(error, options);
      if (refusal === undefined) throw error;
      return await reply.code(refusal.status).headers(refusal.headers).send(refusal.body);
    }
  });
};

/**
 * A hook for routes in a scope with {@link requireAccessToken}: `onRequest` or
 * `preHandler`. Passes on requests whose caller has a role in an organization,
 * or a stronger one, and answers all others with 403.
 */
export function requireRole(role: Role, options: RoleOptions<FastifyRequest>) {
  return async (request: FastifyRequest, reply: FastifyReply): Promise<unknown> => {
    try {
      await checkRole(request, role, options);
    } catch (error) {
      const refusal = findRefusal(error, options);
      if (refusal === undefined) throw error;
      return await reply.code(refusal.status).headers(refusal.headers).send(refusal.body);
    }
  };
}

// Fastify's way of saying that the hook belongs to the registering scope, not to one of the plugin's own.
Object.assign(requireAccessToken, {
  [Symbol.for("skip-override")]: true,
  [Symbol.for("fastify.display-name")]: "@vestibule/node",
});

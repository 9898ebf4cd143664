/** `VESTIBULE`: this service's own sessions, access tokens and service users. */
import { isRefusal } from "../../principals/judge.ts";
import { type HeaderCredential, readBearerToken } from "../../principals/presented.ts";
import { roles } from "../../principals/principal.ts";
import { runStep, toSampleCheck, toWrongSample } from "./checks.ts";
import type { OwnPrincipal, ProviderTypeContext } from "./context.ts";
import { findTexts } from "./data.ts";
import type { ProviderDecision, ProviderIdentity, ProviderInstance, ProviderType } from "./provider-type.ts";
import { decide, refuse } from "./refused.ts";
import { kinds, listOf, makeSchema } from "./schema-parts.ts";

const about = {
  name: "VESTIBULE",
  displayName: "Vestibule",
  description: "Let in the people and service users of this service, by organization and role",
} as const;

/** Makes the type. */
export function createVestibuleType(context: ProviderTypeContext): ProviderType {
  const { own } = context;

  function decideOn(provider: ProviderInstance, credential: HeaderCredential): Promise<ProviderDecision> {
    return decide(async () => toIdentity(await getPrincipal(() => own.identify(credential)), provider));
  }

  async function getPrincipal(identify: () => Promise<OwnPrincipal>): Promise<OwnPrincipal> {
    try {
      return await identify();
    } catch (error) {
      if (!isRefusal(error)) throw error;
      if (error.kind === "unauthenticated") {
        refuse(
          "unknown_credential",
          `this service does not accept it (${error.detail ?? error.message}): get a new one`,
        );
      }
      return refuse(
        "not_permitted",
        "its principal is disabled or gone, or its organization is: enable it again",
      );
    }
  }

  return {
    ...about,
    schema: makeSchema(context.publicUrl, about, { required: [], properties }),
    secretFields: [],
    organizationFields: ["allowedOrgIds"],
    endpointFields: [],
    normalise: (data) => ({ ...data, ...lowerIds(findTexts(data, "allowedOrgIds")) }),
    accepts: () => ({ issuers: [own.issuer], own: true }),
    async authenticate(provider, credential) {
      if (credential.kind !== "api_key") return await decideOn(provider, credential);
      return await decide(async () =>
        refuse("wrong_kind", "this provider takes this service's own credentials, no API keys"),
      );
    },
    login: {
      kind: "own",
      judge: (provider, sessionId) =>
        decide(async () => toIdentity(await getPrincipal(() => own.identifySession(sessionId)), provider)),
    },
    async *test(provider, sample) {
      yield (await describeAdmission(provider)).check;
      if (sample.apiKey !== undefined)
        yield toWrongSample("this type takes no API keys: present a token as the sample");
      if (sample.token !== undefined)
        yield toSampleCheck(await decideOn(provider, readBearerToken(sample.token)));
    },
  };
}

function lowerIds(ids: readonly string[] | undefined) {
  return ids === undefined ? {} : { allowedOrgIds: ids.map((id) => id.toLowerCase()) };
}

/** Without `allowedOrgIds` only the frontdoor's own organization: an open sign-up must not open every frontdoor. */
function getAllowedOrgIds({ data, orgId }: ProviderInstance): readonly string[] {
  return lowerIds(findTexts(data, "allowedOrgIds")).allowedOrgIds ?? [orgId];
}

function getAllowedRoles({ data }: ProviderInstance): readonly string[] {
  return findTexts(data, "allowedRoles") ?? roles;
}

function describeAdmission(provider: ProviderInstance) {
  return runStep("admission", async () => {
    const count = getAllowedOrgIds(provider).length;
    const where =
      provider.data.allowedOrgIds === undefined ? "the frontdoor's organization" : `${count} named`;
    return { detail: `lets in ${getAllowedRoles(provider).join(", ")} of ${where}`, value: true };
  });
}

/** One membership has to have both: the role counts in the organization it is held in. */
function toIdentity(principal: OwnPrincipal, provider: ProviderInstance): ProviderIdentity {
  const { type, id, email, emailVerified, memberships, expiresAt, dependsOn } = principal;
  const orgIds = getAllowedOrgIds(provider);
  const allowedRoles = getAllowedRoles(provider);
  const admitted = memberships.filter(
    ({ orgId, role }) => orgIds.includes(orgId) && allowedRoles.includes(role),
  );
  if (admitted.length === 0) {
    refuse(
      "not_permitted",
      "its principal has none of the allowed roles in an allowed organization: give it one, or change the provider",
    );
  }
  return {
    subject: id,
    ...(email !== undefined && { email }),
    emailVerified: email !== undefined && emailVerified,
    // The others are nobody's business here.
    organizations: admitted.map(({ orgId }) => orgId),
    // By name, with and without the role: what apps are set up with.
    groups: admitted.flatMap(({ orgName, role }) => [orgName, `${orgName}:${role}`]),
    claims: {
      sub: id,
      sub_type: `app/${type}`,
      ...(email !== undefined && { email, email_verified: emailVerified }),
    },
    ...(expiresAt !== undefined && { expiresAt }),
    // An allowed organization that comes to be enabled again counts at once, too.
    dependsOn: [...dependsOn, ...orgIds],
  };
}

const properties = {
  allowedOrgIds: listOf(kinds.uuid, {
    title: "Allowed organizations",
    description:
      "Ids of the organizations whose members may come in, each one that you manage. Without any, only the frontdoor's own.",
    examples: [["0191e0a4-7c1b-7d3e-9f20-5a6b7c8d9e0f"]],
  }),
  allowedRoles: listOf(
    { type: "string", enum: [...roles] },
    {
      title: "Allowed roles",
      description: "Roles in such an organization that may come in. Without any, every role may.",
      default: [...roles],
    },
  ),
} as const;

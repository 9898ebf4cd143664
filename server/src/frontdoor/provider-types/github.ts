/** `GITHUB`: sign-ins with GitHub accounts, by browser only: GitHub speaks plain OAuth 2 and issues no JWT that names a person. */
import { githubSite, toGithubEndpoints } from "../../lib/well-known-providers.ts";
import {
  type DryRun,
  failStep,
  inventedCode,
  probeTokenEndpoint,
  resolveName,
  runStep,
  type Step,
  toWrongSample,
} from "./checks.ts";
import type { ProviderTypeContext } from "./context.ts";
import { findText, findTexts, getText } from "./data.ts";
import { createGithubLogin } from "./github-login.ts";
import type { ProviderCheck, ProviderData, ProviderSample, ProviderType } from "./provider-type.ts";
import { decide, refuse } from "./refused.ts";
import { clientIdProperty, clientSecretProperty, kinds, listOf, makeSchema } from "./schema-parts.ts";

const about = {
  name: "GITHUB",
  displayName: "GitHub",
  description: "Sign in with GitHub accounts, or only with members of some GitHub organizations",
} as const;

const browserOnly =
  "GitHub issues no bearer JWT, so this provider lets people in by browser sign-in only: for machines add an OIDC, JWT or API_KEY provider";

/** Makes the type. */
export function createGithubType(context: ProviderTypeContext): ProviderType {
  return {
    ...about,
    schema: makeSchema(context.publicUrl, about, { required: ["clientId", "clientSecret"], properties }),
    secretFields: ["clientSecret"],
    organizationFields: [],
    endpointFields: ["baseUrl", "clientId"],
    normalise: (data) => ({ ...data, baseUrl: getSite(data), ...lowerNames(data) }),
    accepts: () => ({ issuers: [], own: false }),
    authenticate: () => decide(async () => refuse("wrong_kind", browserOnly)),
    login: createGithubLogin(context, getSite),
    test: ({ data }, sample, signal) => testSite({ egress: context.egress, signal }, data, sample),
  };
}

function getSite(data: ProviderData): string {
  return new URL(findText(data, "baseUrl") ?? githubSite).origin;
}

/** GitHub's names ignore case. */
function lowerNames(data: ProviderData): ProviderData {
  const names = findTexts(data, "allowedOrganizations");
  return names === undefined ? {} : { allowedOrganizations: names.map((name) => name.toLowerCase()) };
}

async function* testSite(
  run: DryRun,
  data: ProviderData,
  sample: ProviderSample,
): AsyncGenerator<ProviderCheck> {
  const endpoints = toGithubEndpoints(getSite(data));
  const name = await resolveName(run, endpoints.tokenUrl);
  yield name.check;
  if (name.value !== undefined) {
    yield (await vetApi(run, endpoints)).check;
    const clientSecret = findText(data, "clientSecret");
    if (clientSecret !== undefined) yield (await tryClient(run, endpoints, data, clientSecret)).check;
  }
  if (sample.token !== undefined || sample.apiKey !== undefined) yield toWrongSample(browserOnly);
}

function vetApi(
  { egress, signal }: DryRun,
  { apiUrl }: ReturnType<typeof toGithubEndpoints>,
): Promise<Step<true>> {
  return runStep("endpoints", async () => {
    await egress.vet(apiUrl, signal);
    return { detail: "the site and its API may be reached", value: true };
  });
}

/** GitHub answers 200 with an `error`, and names a wrong client apart from a wrong code. */
function tryClient(
  run: DryRun,
  { tokenUrl }: ReturnType<typeof toGithubEndpoints>,
  data: ProviderData,
  clientSecret: string,
): Promise<Step<true>> {
  return runStep("client", async () => {
    const form = { client_id: getText(data, "clientId"), client_secret: clientSecret, code: inventedCode };
    const { status, error } = await probeTokenEndpoint(run, tokenUrl, form);
    if (error === "bad_verification_code")
      return { detail: "GitHub accepts clientId and clientSecret", value: true };
    if (error === "incorrect_client_credentials" || status === 404) {
      failStep(
        "GitHub does not accept this clientId with this clientSecret: copy both from the OAuth app again",
      );
    }
    return failStep(`the site answered status ${status} where GitHub would answer an error: check baseUrl`);
  });
}

const properties = {
  clientId: { ...clientIdProperty, examples: ["Iv1.0123456789abcdef"] },
  clientSecret: clientSecretProperty,
  baseUrl: {
    ...kinds.site,
    title: "Base URL",
    description: "Origin of a GitHub Enterprise Server. Without one, github.com.",
    default: githubSite,
    examples: ["https://github.example.com"],
  },
  allowedOrganizations: listOf(kinds.githubName, {
    title: "Allowed organizations",
    description:
      "Only members of one of these GitHub organizations may come in. Without any, every GitHub account may.",
    examples: [["example-org"]],
  }),
} as const;

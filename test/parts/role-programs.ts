/** The functions of docs/roles.md in other languages, held against tokens of a server. */
import assert from "node:assert/strict";
import { basic, postJson } from "./http.ts";
import type { PartContext } from "./part.ts";
import { startServer, type TestServer } from "./server.ts";
import { openVerifier, type Verifier } from "./token-verifier.ts";

/** Where the page says that the server is. */
export const documentedIssuer = "http://localhost:7400";

/**
 * Judges a program that reads tokens, a line each, and prints `in: <subject>`
 * for a manager or owner of the organization, and `refused: …` for others.
 *
 * @param makeVerifier is given the issuer and the organization's id.
 */
export async function judgeRoles(
  context: PartContext,
  makeVerifier: (issuer: string, orgId: string) => Promise<Verifier>,
): Promise<void> {
  await using server = await startServer();
  const { organization } = await manage(server, "OrganizationService/CreateOrganization", {
    body: { name: "acme" },
  });
  const other = await manage(server, "OrganizationService/CreateOrganization", { body: { name: "other" } });
  const verifier = await makeVerifier(`http://localhost:${server.port}`, organization.id);
  using running = openVerifier(verifier, []);
  for (const [role, orgId, isIn] of [
    ["manager", organization.id, true],
    ["owner", organization.id, true],
    ["viewer", organization.id, false],
    ["owner", other.organization.id, false],
  ] as const) {
    const where = orgId === organization.id ? "the organization" : "another";
    await context.check(
      `the docs' function ${isIn ? "lets in" : "refuses"} the ${role} of ${where}`,
      async () => {
        const { id, token } = await issue(server, orgId, role);
        const said = await running.verify(token);
        if (isIn) assert.equal(said, `in: ${id}`);
        else assert.match(said, /^refused: ./);
      },
    );
  }
  await context.check("the docs' function refuses what is no token", async () => {
    assert.match(await running.verify("a.b.c"), /^refused: ./);
  });
}

async function manage(server: TestServer, method: string, message: object) {
  const answer = await postJson(server, `/vestibule.v1.${method}`, message, basic(server));
  assert.equal(answer.status, 200, answer.text);
  return answer.json;
}

/** A token of a new service user. */
async function issue(server: TestServer, org_id: string, role: string) {
  const body = { title: role, role };
  const { id } = (await manage(server, "ServiceUserService/CreateServiceUser", { org_id, body })).serviceuser;
  const { secret } = await manage(server, "ServiceUserService/CreateServiceUserCredential", { org_id, id });
  const by = basic({ clientId: secret.id, clientSecret: secret.secret });
  const granted = await postJson(server, "/vestibule.v1.AuthService/AuthToken", {}, by);
  return { id, token: granted.json.accessToken as string };
}

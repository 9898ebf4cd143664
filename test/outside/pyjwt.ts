import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { readBlocks } from "../parts/documentation.ts";
import { createFrontdoor, getAssertion } from "../parts/gate.ts";
import { basic, send } from "../parts/http.ts";
import type { Part, PartContext } from "../parts/part.ts";
import { documentedIssuer, judgeRoles } from "../parts/role-programs.ts";
import { startServer, type TestServer } from "../parts/server.ts";
import { changeByte, judgeVerifier, openVerifier } from "../parts/token-verifier.ts";
import { installPython } from "../parts/toolchains.ts";

const folder = join(import.meta.dirname, "pyjwt");
const page = "docs/gate/apps.md";
const hostname = "app.example.com";

/** Python's PyJWT accepts our access tokens by our JWKS, and no others; and so for assertions of the gate, and for roles, as the docs use it. */
export default {
  needs: ["python"],
  async run(context) {
    const python = await installPython(join(folder, "requirements.txt"));
    await judgeVerifier(context, [python, join(folder, "verify.py")], ["ES256", "RS256", "EdDSA"]);
    await judgeAssertions(context, python);
    await judgeRoles(context, async (issuer, orgId) => [python, writeRoles(context.scratch, issuer, orgId)]);
    return undefined;
  },
} satisfies Part;

/** The function of docs/gate/apps.md, for each line an assertion. */
async function judgeAssertions(context: PartContext, python: string): Promise<void> {
  // Access tokens are for the app's origin, too: their type alone tells them apart.
  const config = { authentication: { token: { audience: `https://${hostname}` } } };
  await using server = await startServer({ config });
  const frontdoor = await createFrontdoor(server, { hostname, scheme: "https" });
  const others = await createFrontdoor(server, { hostname: "other.example.com", scheme: "https" });
  const visitor = { authorization: `Bearer ${await frontdoor.signToken()}` };
  const assertion = await getAssertion(server, frontdoor, visitor);
  using running = openVerifier([python, writeProgram(context.scratch, server)]);
  await context.check("the docs' function accepts an assertion", async () => {
    assert.equal(await running.verify(assertion), `${frontdoor.jwtProviderId}:ada`);
  });
  await context.check("the docs' function tells a request of nobody", async () => {
    const nobody = await getAssertion(server, frontdoor, {}, { path: "/health" });
    assert.equal(await running.verify(nobody), "None");
  });
  const [head = "", body = "", signature = ""] = assertion.split(".");
  const unsigned = Buffer.from(JSON.stringify({ alg: "none", typ: "vestibule-gate+jwt" })).toString(
    "base64url",
  );
  const refused = {
    "another app's assertion": await getAssertion(server, others, basic(server)),
    "an access token for the same audience": await issueToken(server),
    "another signature": `${head}.${body}.${changeByte(signature)}`,
    "no signature": `${unsigned}.${body}.`,
    nothing: "",
  };
  for (const [name, given] of Object.entries(refused)) {
    await context.check(`the docs' function refuses ${name}`, async () => {
      assert.match(await running.verify(given), /^refused: ./);
    });
  }
}

/** The function of docs/roles.md, for managers and owners of an organization. */
function writeRoles(scratch: string, issuer: string, orgId: string): string {
  const [shown = ""] = readBlocks("docs/roles.md", "python");
  const program = join(scratch, "require_role.py");
  const loop = `
import sys

for line in sys.stdin:
    try:
        print("in:", require_role(line.strip(), "${orgId}", "manager", "owner")["sub"], flush=True)
    except jwt.PyJWTError as error:
        print(f"refused: {error!r}", flush=True)
`;
  writeFileSync(program, shown.replace(documentedIssuer, issuer) + loop);
  return program;
}

/** The page's own function, which knows where this server is. */
function writeProgram(scratch: string, server: TestServer): string {
  const [shown = ""] = readBlocks(page, "python");
  const program = join(scratch, "verify_gate.py");
  const loop = `
import sys

for line in sys.stdin:
    try:
        print(verify_gate_assertion(line.strip()).get("sub"), flush=True)
    except jwt.PyJWTError as error:
        print(f"refused: {error!r}", flush=True)
`;
  writeFileSync(program, shown.replace("https://id.example.com", `http://localhost:${server.port}`) + loop);
  return program;
}

/** By the same key, for the same audience. */
async function issueToken(server: TestServer): Promise<string> {
  const answer = await send(`${server.url}/oauth2/token`, {
    headers: { ...basic(server), "Content-Type": "application/x-www-form-urlencoded" },
    body: "grant_type=client_credentials",
  });
  return answer.json.access_token;
}

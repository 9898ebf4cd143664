import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { readBlocks, runShell } from "./parts/documentation.ts";
import { basic, postJson } from "./parts/http.ts";
import { startServer } from "./parts/server.ts";

it("the commands of docs/oauth.md do what they say", async () => {
  await using server = await startServer();
  // An assertion names the issuer, which is not where the helper sends the page's requests.
  const issuer = `http://localhost:${server.port}`;
  const folder = mkdtempSync(join(tmpdir(), "vestibule-oauth-"));
  try {
    const own = "/vestibule.v1.ServiceUserService";
    const as = basic(server);
    const created = await postJson(server, `${own}/CreateServiceUser`, { org_id: "default", body: {} }, as);
    const id = created.json.serviceuser.id;
    const made = await postJson(
      server,
      `${own}/CreateServiceUserJWK`,
      { org_id: "default", id, title: "k" },
      as,
    );
    writeFileSync(join(folder, "key.pem"), made.json.key.privateKey, { mode: 0o600 });
    const variables: Record<string, string> = { SERVICE_USER_ID: id, KEY_ID: made.json.key.kid };

    const answers: Record<string, unknown>[] = [];
    for (const block of readBlocks("docs/oauth.md", "sh")) {
      const here = block
        .replace('"http://localhost:7400"', `"${issuer}"`)
        .replace("key.pem", join(folder, "key.pem"));
      const answer = await runShell(here, server, variables);
      answers.push(answer === "" ? {} : JSON.parse(answer));
      variables.TOKEN ??= String(answers.at(-1)?.access_token ?? "");
      if (variables.TOKEN === "") delete variables.TOKEN;
    }
    const [metadata, byBasic, byForm, byKey, seen, revoked, jwks] = answers;
    expect(answers).toHaveLength(7);
    expect(metadata).toMatchObject({ token_endpoint: `${issuer}/oauth2/token` });
    for (const answer of [byBasic, byForm, byKey]) expect(answer).toMatchObject({ token_type: "Bearer" });
    expect(seen).toMatchObject({ active: true, client_id: server.clientId });
    expect(revoked).toEqual({});
    expect(jwks).toMatchObject({ keys: [{ alg: "ES256", use: "sig" }] });
    const [, , , , introspect = ""] = readBlocks("docs/oauth.md", "sh");
    expect(await runShell(introspect, server, variables)).toBe('{"active":false}');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

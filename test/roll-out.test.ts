/** The program of two servers is replaced under load, from 0.1.0 as it was packed to this one. */
import { afterAll, describe, expect, it } from "vitest";
import { version } from "../server/src/lib/version.ts";
import { eventually } from "./parts/eventually.ts";
import { createMachine } from "./parts/full-state.ts";
import { basic, postJson, send } from "./parts/http.ts";
import { unpackOldProgram } from "./parts/old-program.ts";
import { rollOut, signInAt } from "./parts/roll-out.ts";
import type { TestServer } from "./parts/server.ts";

const old = unpackOldProgram();
afterAll(() => old[Symbol.dispose]());

describe("a roll-out from 0.1.0 on Postgres", () => {
  const whoAmI = async (server: TestServer, headers: Record<string, string>) =>
    (await postJson(server, "/vestibule.v1.AuthService/GetCurrentUser", {}, headers)).status;

  async function createPersonalToken(server: TestServer): Promise<Record<string, string>> {
    const person = await signInAt(server, "pat@example.org");
    const call = async (method: string, message: object) => {
      const { status, text, json } = await postJson(
        server,
        `/vestibule.v1.${method}`,
        message,
        person.headers(),
      );
      expect(status, text).toBe(200);
      return json;
    };
    const { organization } = await call("OrganizationService/CreateOrganization", { body: { name: "pats" } });
    const { roles } = await call("PersonalTokenService/ListRolesForPAT", {});
    const { pat } = await call("PersonalTokenService/CreateCurrentUserPAT", {
      title: "laptop",
      org_id: organization.id,
      expires_at: new Date(Date.now() + 86_400_000).toISOString(),
      scopes: [{ role_id: roles[0].id, resource_type: "app/organization" }],
    });
    return { authorization: `Bearer ${pat.token}` };
  }

  /** Each holds at the other within a second, whichever is the older. */
  async function liveTogether(one: TestServer, other: TestServer): Promise<void> {
    const person = await signInAt(one, `${one.port}@example.org`);
    expect(await whoAmI(other, person.headers())).toBe(200);
    const manage = async (server: TestServer, method: string, message: object) => {
      const path = `/vestibule.v1.ServiceUserService/${method}`;
      const { status, text, json } = await postJson(
        server,
        path,
        { org_id: "default", ...message },
        basic(server),
      );
      expect(status, text).toBe(200);
      return json;
    };
    const id = await createMachine(one);
    const { secret } = await manage(one, "CreateServiceUserCredential", { id });
    const credential = basic({ clientId: secret.id, clientSecret: secret.secret });
    const token = "/vestibule.v1.AuthService/AuthToken";
    expect((await postJson(other, token, {}, credential)).status).toBe(200);
    await manage(other, "DeleteServiceUserCredential", { id, secret_id: secret.id });
    await eventually(async () => expect((await postJson(one, token, {}, credential)).status).toBe(401));
    const revoking = "/vestibule.v1.AuthService/RevokeAllSessions";
    expect((await postJson(other, revoking, {}, person.headers())).status).toBe(200);
    await eventually(async () => expect(await whoAmI(one, person.headers())).toBe(401));
  }

  it("loses no request and gives no wrong answer, while both serve", async () => {
    const rolled = await rollOut({
      proxy: "haproxy",
      from: old.command,
      steps: [undefined, undefined],
      load: { clients: 8, perSecond: 40 },
      async between(step, fleet) {
        if (step > 0) return;
        const [fresh, former] = fleet.servers();
        await liveTogether(fresh, former);
        await liveTogether(former, fresh);
        // What 0.1.0 knows nothing of it refuses, by the answer for that.
        const headers = await createPersonalToken(fresh);
        expect(await Promise.all([fresh, former].map((server) => whoAmI(server, headers)))).toEqual([
          200, 401,
        ]);
        for (const server of [fresh, former]) {
          // Both read what the newer one noted of that.
          const list = "/vestibule.v1.AuditService/ListAuditRecords";
          const { json } = await postJson(server, list, {}, basic(server));
          expect(json.records.map((record: { action: string }) => record.action)).toContain("pat.create");
          const { text } = await send(`${server.url}/metrics`, { headers: basic(server) });
          expect(text).toContain(`version="${server === fresh ? version : "0.1.0"}"`);
        }
      },
    });
    expect(rolled.failures).toEqual([]);
    expect(rolled.lost).toBe(0);
    expect(rolled.written).toBe(rolled.byAsk[2]);
    for (const count of rolled.byAsk) expect(count).toBeGreaterThan(20);
  }, 300_000);
});

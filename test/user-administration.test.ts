/** What superusers do about people, over the wire: their sessions, and what the people themselves hear of it. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { eventually } from "./parts/eventually.ts";
import { basic, postJson } from "./parts/http.ts";
import { countMails, Person, waitForMail } from "./parts/person.ts";
import { startServer, type TestServer } from "./parts/server.ts";

describe.each(["sqlite", "postgres"] as const)("administration of people on %s", (database) => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer({ database });
  });
  afterAll(() => server?.[Symbol.asyncDispose]());

  const asRoot = (method: string, message: object, service = "vestibule.v1.UserService") =>
    postJson(server, `/${service}/${method}`, message, basic(server));
  const as = (person: Person, method: string, message: object) =>
    postJson(server, `/vestibule.v1.UserService/${method}`, message, person.headers());

  async function signedIn(email: string): Promise<{ person: Person; id: string }> {
    const person = new Person(server);
    await person.signIn(email);
    return { person, id: (await person.call("GetCurrentUser")).json.user.id };
  }

  const status = async (person: Person) => (await person.call("GetCurrentUser")).status;

  it("ends sessions one by one or all; cookies and tokens of theirs are dead, and the owner is told", async () => {
    const email = "carl@example.org";
    const { person: laptop, id: user_id } = await signedIn(email);
    const { person: phone } = await signedIn(email);
    const { accessToken } = (await laptop.call("AuthToken")).json;
    const bearer = { authorization: `Bearer ${accessToken}` };
    const whoAmI = () => postJson(server, "/vestibule.v1.AuthService/GetCurrentUser", {}, bearer);
    expect((await whoAmI()).status).toBe(200);

    const { sessions } = (await asRoot("ListUserSessions", { user_id })).json;
    const [, own] = sessions;
    expect(sessions).toMatchObject([
      { metadata: { ipAddress: "127.0.0.1" } },
      { metadata: { ipAddress: "127.0.0.1" } },
    ]);
    expect(own.isCurrentSession).toBeUndefined();

    const admin = "raystack.frontier.v1beta1.AdminService";
    expect((await asRoot("RevokeUserSession", { session_id: own.id }, admin)).status).toBe(200);
    expect([await status(laptop), (await whoAmI()).status, await status(phone)]).toEqual([401, 401, 200]);
    const isNotice = (text: string) => text.includes("have ended");
    expect(await waitForMail(server, email, [], isNotice)).toMatch(/Subject: You were signed out/);

    expect((await asRoot("RevokeAllUserSessions", { user_id })).json).toEqual({ revoked: 1 });
    expect((await asRoot("RevokeAllUserSessions", { user_id })).json).toEqual({});
    expect(await status(phone)).toBe(401);
    // Two codes, two notices: what ends nothing is told to nobody.
    await eventually(() => expect(countMails(server, email)).toBe(4));

    const audit = { target_id: user_id, result: "success" };
    const { records } = (await asRoot("ListAuditRecords", audit, "vestibule.v1.AuditService")).json;
    const ended = records.filter(({ action }: { action: string }) => action.includes("revoke"));
    const actor = { type: "serviceuser" };
    expect(ended).toMatchObject([
      { action: "session.revoke_all", actor, details: { revoked: "0" } },
      { action: "session.revoke_all", actor, details: { revoked: "1" } },
      { action: "user.revoke_session", actor, details: { session: own.id } },
    ]);
  });

  it("is for superusers alone", async () => {
    const { person, id } = await signedIn("eve@example.org");
    const { sessions } = (await person.call("ListSessions")).json;
    const calls = {
      ListUserSessions: { user_id: id },
      RevokeUserSession: { session_id: sessions[0].id },
      RevokeAllUserSessions: { user_id: id },
    };
    for (const [method, message] of Object.entries(calls)) {
      expect(await as(person, method, message), method).toMatchObject({
        status: 403,
        json: { message: "not authorized" },
      });
    }
    expect(await status(person)).toBe(200);
  });
});

/** Domains beyond ASCII, and codes as they are typed on other keyboards: one account, whichever spelling. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { postJson } from "./parts/http.ts";
import { findCode, listMails, Person, waitForMail } from "./parts/person.ts";
import { startServer, type TestServer } from "./parts/server.ts";

const ascii = "xn--bcher-kva.example";

let server: TestServer;
beforeAll(async () => {
  server = await startServer({
    config: {
      admin_emails: ["root@bücher.example"],
      authentication: { signup: { mode: "domains", domains: ["Bücher.example"] } },
    },
  });
});
afterAll(() => server?.[Symbol.asyncDispose]());

/** Signs in by an address as it is typed; its mail goes to the other spelling. */
async function signIn(typed: string, local: string, type: (code: string) => string = (code) => code) {
  const person = new Person(server);
  const before = listMails(server);
  const begun = await person.call("Authenticate", { strategyName: "mailotp", email: typed });
  expect(begun.status, begun.text).toBe(200);
  const code = type(findCode(await waitForMail(server, `${local}@${ascii}`, before)));
  const ended = await person.call("AuthCallback", { state: begun.json.state, code });
  expect(ended.status, ended.text).toBe(200);
  return { person, user: (await person.call("GetCurrentUser")).json.user };
}

const fullWidth = (text: string) =>
  [...text].map((one) => String.fromCodePoint((one.codePointAt(0) ?? 0) + 0xfee0)).join("\u3000");

describe("a domain beyond ASCII", () => {
  it("is one however it is spelled, where sign-up is open to it", async () => {
    const { user } = await signIn("ada@bücher.example", "ada");
    expect(user.email).toBe(`ada@${ascii}`);
    for (const typed of [`Ada@${ascii}`, "ADA@BU\u0308CHER.example"]) {
      expect((await signIn(typed, "ada")).user.id).toBe(user.id);
    }
  });

  it("is so for superusers and invitations", async () => {
    const root = (await signIn("root@bücher.example", "root")).person;
    const ask = async (who: Person, method: string, message: object) =>
      await postJson(server, `/vestibule.v1.${method}`, message, who.headers());
    const found = await ask(root, "UserService/ListUsers", {});
    expect(found.status, found.text).toBe(200);
    const { json } = await ask(root, "OrganizationService/CreateOrganization", {
      body: { name: "books", title: "Books" },
    });
    const before = listMails(server);
    const invited = await ask(root, "OrganizationService/CreateOrganizationInvitation", {
      orgId: json.organization.id,
      userIds: ["eve@bücher.example"],
    });
    expect(invited.status, invited.text).toBe(200);
    await waitForMail(server, `eve@${ascii}`, before);
    const { person } = await signIn(`eve@${ascii}`, "eve");
    const own = await ask(person, "OrganizationService/ListCurrentUserInvitations", {});
    expect(own.json.invitations).toHaveLength(1);
  });

  it("has no local part beyond ASCII, and that is said", async () => {
    const person = new Person(server);
    const begun = await person.call("Authenticate", { strategyName: "mailotp", email: "ädä@bücher.example" });
    expect(begun.json).toMatchObject({
      code: "invalid_argument",
      message: "Invalid email: before the @ only ASCII is taken, without SMTPUTF8 (RFC 6531)",
    });
  });
});

it("takes a code in full-width letters, with wide spaces between", async () => {
  const { user } = await signIn("kei@bücher.example", "kei", fullWidth);
  expect(user.email).toBe(`kei@${ascii}`);
});

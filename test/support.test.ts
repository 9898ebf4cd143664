/** The questions of docs/support.md, after what they ask about has happened. */
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { SMTPServer } from "smtp-server";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { SoftAuthenticator } from "./parts/authenticator.ts";
import { readBlocks, runShell } from "./parts/documentation.ts";
import { eventually } from "./parts/eventually.ts";
import { basic, postJson } from "./parts/http.ts";
import { type IdentityProvider, startIdentityProvider, walkRedirects } from "./parts/identity-provider.ts";
import { findCode, hasCode, Person } from "./parts/person.ts";
import { startServer, type TestServer } from "./parts/server.ts";

const appPage = "https://app.example.org/callback";
const [define = "", ...questions] = readBlocks("docs/support.md", "sh");

/** A mail server that knows nobody called Emil, and the mails that reached it, by recipient. */
async function startMailServer() {
  const received = new Map<string, string[]>();
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ["STARTTLS"],
    onRcptTo: ({ address }, _session, callback) =>
      callback(
        address.startsWith("emil@") ? Object.assign(new Error("no such user"), { responseCode: 550 }) : null,
      ),
    onData(stream, session, callback) {
      let text = "";
      stream.on("data", (chunk: Buffer) => (text += chunk.toString("utf8")));
      stream.on("end", () => {
        for (const { address } of session.envelope.rcptTo)
          received.set(address, [...(received.get(address) ?? []), text.replaceAll("\r\n", "\n")]);
        callback();
      });
    },
  });
  server.on("error", () => {});
  server.listen(0, "127.0.0.1");
  await once(server.server, "listening");
  const { port } = server.server.address() as AddressInfo;
  return { port, received, stop: () => new Promise<void>((resolve) => server.close(() => resolve())) };
}

interface Told {
  readonly action: string;
  readonly reason?: string;
  readonly detail?: string;
  readonly [member: string]: unknown;
}

describe.each(["sqlite", "postgres"] as const)("docs/support.md (%s)", (database) => {
  let server: TestServer;
  let mails: Awaited<ReturnType<typeof startMailServer>>;
  let acme: IdentityProvider;
  const accounts = { "ida@example.org": { email: "ida@example.org", email_verified: true } };

  beforeAll(async () => {
    mails = await startMailServer();
    acme = await startIdentityProvider({ accounts, redirectUris: [appPage] });
    const { issuer: issuer_url, clientId: client_id, clientSecret: client_secret } = acme;
    server = await startServer({
      database,
      env: { VESTIBULE_SMTP_URL: `smtp://127.0.0.1:${mails.port}` },
      config: {
        trusted_proxies: ["127.0.0.1"],
        authentication: {
          signup: { mode: "domains", domains: ["example.org"] },
          callback_urls: [appPage],
          oidc_config: { acme: { issuer_url, client_id, client_secret } },
        },
      },
    });
  });
  afterAll(async () => {
    await server?.[Symbol.asyncDispose]();
    await Promise.all([acme?.stop(), mails?.stop()]);
  });

  /** Asks for a code, and answers it as it comes. */
  async function ask(person: Person, email: string) {
    const before = mails.received.get(email)?.length ?? 0;
    const { json } = await person.call("Authenticate", { strategyName: "mailotp", email });
    const code = await eventually(() => {
      const mail = mails.received.get(email)?.slice(before).find(hasCode);
      return findCode(mail ?? "");
    });
    return { state: json.state as string, code };
  }
  async function signIn(email: string): Promise<Person> {
    const person = new Person(server);
    expect((await person.call("AuthCallback", await ask(person, email))).status).toBe(200);
    return person;
  }
  const manage = async (method: string, message: object) => {
    const answer = await postJson(server, `/vestibule.v1.UserService/${method}`, message, basic(server));
    expect(answer.status, answer.text).toBe(200);
  };
  const idOf = async (person: Person): Promise<string> => (await person.call("GetCurrentUser")).json.user.id;

  /** Asks a question of the page until it is answered by a record of these. */
  async function answer(question: number, expected: object, variables = {}): Promise<readonly Told[]> {
    const script = `${define}\n${questions[question - 1]}`;
    return await eventually(async () => {
      const text = await runShell(script, server, variables);
      const { records = [] } = JSON.parse(text) as { records?: Told[] };
      expect(records).toContainEqual(expect.objectContaining(expected));
      expect(text).not.toMatch(/[a-z]+@/);
      return records;
    });
  }
  const refused = (reason: string, strategy: string) => ({
    action: "sign_in.refuse",
    result: "refused",
    reason,
    details: { strategy },
  });

  it("has ten questions, and a last one by id", () => expect(questions).toHaveLength(11));

  it("1: a wrong code", async () => {
    const carl = new Person(server);
    const { state } = await ask(carl, "carl@example.org");
    await carl.call("AuthCallback", { state, code: "BCDFGH" });
    const [first] = await answer(1, refused("INVALID_OTP", "mailotp"));
    expect(first).toMatchObject({ mailboxHash: expect.stringMatching(/^[\w-]{43}$/) });
    expect(first?.target).toBeUndefined();
  });

  it("2: a mail that was withheld, and 10: strangers who asked for it", async () => {
    const dora = await signIn("dora@example.org");
    const lena = await signIn("lena@example.org");
    for (let mail = 0; mail < 5; mail++) {
      for (const email of ["dora@example.org", "lena@example.org"]) {
        const headers = { "x-forwarded-for": "198.51.100.7" };
        await new Person(server).call("Authenticate", { strategyName: "mailotp", email }, headers);
      }
    }
    const withheld = {
      action: "mail.withhold",
      reason: "TOO_MANY_MAILS",
      clientAddress: "198.51.100.7",
      details: { strategy: "mailotp", limit: "network_mails" },
    };
    await answer(2, { ...withheld, target: { type: "user", id: await idOf(dora) } });
    const USER_ID = await idOf(lena);
    await answer(10, { ...withheld, target: { type: "user", id: USER_ID } });
    await answer(11, { action: "session.create", actor: { type: "user", id: USER_ID } }, { USER_ID });
  });

  it("3: a mail that the mail server did not take", async () => {
    const emil = new Person(server);
    await emil.call("Authenticate", { strategyName: "mailotp", email: "emil@example.org" });
    await answer(3, { action: "mail.fail", reason: "MAILBOX_REFUSED", detail: "RCPT TO: 550" });
  });

  it("4: another browser", async () => {
    const { state, code } = await ask(new Person(server), "finn@example.org");
    const phone = new Person(server);
    await phone.call("Authenticate", { strategyName: "passkey" });
    await phone.call("AuthCallback", { state, code });
    const detail = "another browser than the flow began in";
    await answer(4, { ...refused("INVALID_AUTH_STATE", "mailotp"), detail });
  });

  it("5: who may not sign up", async () => {
    const gina = new Person(server);
    await gina.call("AuthCallback", await ask(gina, "gina@elsewhere.example"));
    await answer(5, { ...refused("SIGNUP_CLOSED", "mailotp"), detail: "sign-up mode is domains" });
  });

  it("6: who was disabled, and by whom", async () => {
    const hugo = await signIn("hugo@example.org");
    const id = await idOf(hugo);
    await manage("DisableUser", { id });
    const later = new Person(server);
    await later.call("AuthCallback", await ask(later, "hugo@example.org"));
    const records = await answer(6, refused("PRINCIPAL_DISABLED", "mailotp"));
    expect(records).toContainEqual(
      expect.objectContaining({
        action: "user.disable",
        target: { type: "user", id },
        actor: { type: "serviceuser", id: expect.any(String) },
      }),
    );
  });

  it("7: a provider's answer that needs a code", async () => {
    const email = "ida@example.org";
    await signIn(email);
    const ida = new Person(server);
    const begun = await ida.call("Authenticate", { strategyName: "acme", email, callbackUrl: appPage });
    const back = await walkRedirects(begun.json.endpoint, appPage);
    await ida.call("AuthCallback", { state: begun.json.state, code: back.searchParams.get("code") });
    await answer(7, refused("LINK_REQUIRED", "acme"));
  });

  it("8: a passkey that does not fit", async () => {
    const jan = await signIn("jan@example.org");
    const device = new SoftAuthenticator({ origin: `http://localhost:${server.port}` });
    const begun = await jan.call("Authenticate", { strategyName: "passkey" });
    const made = { options: device.create(begun.json.stateOptions.options) };
    expect((await jan.call("AuthCallback", { state: begun.json.state, stateOptions: made })).status).toBe(
      200,
    );
    const later = new Person(server);
    const { json } = await later.call("Authenticate", { strategyName: "passkey" });
    const stateOptions = { options: device.get(json.stateOptions.options, { wrongKey: true }) };
    await later.call("AuthCallback", { state: json.state, stateOptions });
    await answer(8, {
      ...refused("INVALID_FLOW", "passkey"),
      actor: { type: "user", id: await idOf(jan) },
      detail: expect.stringMatching(/^passkey [0-9a-f-]{36}: /),
    });
  });

  it("9: who was signed out", async () => {
    const kim = await signIn("kim@example.org");
    const id = await idOf(kim);
    await manage("RevokeAllUserSessions", { user_id: id });
    await answer(9, { action: "session.revoke_all", target: { type: "user", id } });
  });
});

/** A real mail server that goes away and comes back. */
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { SMTPServer } from "smtp-server";
import { describe, expect, it, onTestFinished } from "vitest";
import { createApp } from "../server/src/app.ts";
import { loadConfig } from "../server/src/config/load-config.ts";
import { silentLog } from "../server/src/lib/log.ts";
import { Stopping } from "../server/src/lib/stopping.ts";
import { openStorage } from "../server/src/storage.ts";
import { findCode, listMails, Person } from "./parts/person.ts";
import { createState, findFreePort, runVestibule, startServer, type TestServer } from "./parts/server.ts";

/** How much faster than the clock on the wall a minute of tries goes by. */
const haste = 500;

/** The server in this process, whose mails are tried again in less than no time. */
async function startHasty(smtpPort: number): Promise<TestServer> {
  const state = await createState("sqlite");
  const config = loadConfig({
    env: {
      VESTIBULE_LISTEN: `127.0.0.1:${await findFreePort()}`,
      VESTIBULE_DATA_DIR: state.dataDir,
      VESTIBULE_SMTP_URL: `smtp://127.0.0.1:${smtpPort}`,
    },
    cwd: state.dataDir,
    // On a terminal a server stops without grace.
    isTty: true,
  });
  const clock = { now: () => new Date() };
  const storage = await openStorage(config, silentLog, clock, "server");
  const app = await createApp({
    config,
    storage,
    log: silentLog,
    clock,
    waitForMail: (ms, signal) => sleep(ms / haste, undefined, { signal }),
  });
  onTestFinished(async () => {
    await app.close(new Stopping({ log: silentLog, totalMs: 25_000 }));
    await storage.close();
    await state.remove();
  });
  return { url: `http://127.0.0.1:${app.port}`, port: app.port, state } as TestServer;
}

/** A mail server, and what reached it: text by recipient. */
async function startSmtp(port: number, refuse: (address: string) => number | undefined = () => undefined) {
  const received = new Map<string, string>();
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ["STARTTLS"],
    onRcptTo({ address }, _session, callback) {
      const responseCode = refuse(address);
      callback(responseCode === undefined ? null : Object.assign(new Error("no"), { responseCode }));
    },
    onData(stream, session, callback) {
      let text = "";
      stream.on("data", (chunk: Buffer) => (text += chunk.toString("utf8")));
      stream.on("end", () => {
        for (const { address } of session.envelope.rcptTo) received.set(address, text);
        callback();
      });
    },
  });
  server.on("error", () => {});
  server.listen(port, "127.0.0.1");
  await once(server.server, "listening");
  return {
    received,
    async stop() {
      const closed = new Promise<void>((resolve) => server.close(resolve));
      await closed;
    },
  };
}

const down = { code: "unavailable", message: "mail cannot be sent at the moment, try again later" };
const over = { code: "invalid_argument", message: "invalid flow or expired" };

describe("mail", () => {
  it("that cannot be sent is tried for a minute, then refused to all alike until the mail server is back", async () => {
    const port = await findFreePort();
    let smtp = await startSmtp(port);
    onTestFinished(() => smtp.stop());
    const server = await startHasty(port);
    const begin = (person: Person, email: string, strategyName = "mailotp") =>
      person.call("Authenticate", { strategyName, email });
    const codeTo = async (email: string) => {
      await expect.poll(() => smtp.received.has(email), { timeout: 10_000 }).toBe(true);
      return findCode(smtp.received.get(email)?.replaceAll("=\r\n", "") ?? "");
    };
    const signIn = async (person: Person, email: string) => {
      const { state } = (await begin(person, email)).json;
      return await person.call("AuthCallback", { state, code: await codeTo(email) });
    };
    const known = new Person(server);
    expect((await signIn(known, "ada@example.org")).status).toBe(200);

    await smtp.stop();
    smtp.received.clear();
    const [first, second] = [new Person(server), new Person(server)];
    const begun = [await begin(first, "ada@example.org"), await begin(second, "eve@example.org", "maillink")];
    expect(begun.map(({ status, json }) => [status, Object.keys(json)])).toEqual([
      [200, ["state"]],
      [200, ["state"]],
    ]);
    const ask = async (email: string, strategyName = "mailotp") =>
      (await begin(new Person(server), email, strategyName)).json;
    await expect.poll(() => ask("bob@example.org"), { timeout: 20_000, interval: 20 }).toMatchObject(down);
    for (const email of ["ada@example.org", "eve@example.org", "nobody@example.org"]) {
      expect(await ask(email)).toMatchObject(down);
      expect(await ask(email, "maillink")).toMatchObject(down);
    }
    for (const [index, person] of [first, second].entries()) {
      const answer = { state: begun[index]?.json.state, code: "BCDFGH" };
      await expect.poll(async () => (await person.call("AuthCallback", answer)).json).toMatchObject(over);
    }
    // Everything else goes on.
    expect((await known.call("GetCurrentUser")).status).toBe(200);
    expect((await known.call("Authenticate", { strategyName: "passkey" })).status).toBe(200);

    smtp = await startSmtp(port);
    await expect
      .poll(() => ask("bob@example.org"), { timeout: 15_000, interval: 200 })
      .toHaveProperty("state");
    expect((await signIn(first, "eve@example.org")).status).toBe(200);
  });

  it("that a mailbox does not take ends that sign-in and nobody else's", async () => {
    const port = await findFreePort();
    const smtp = await startSmtp(port, (address) => (address.startsWith("gone@") ? 550 : undefined));
    onTestFinished(() => smtp.stop());
    await using server = await startServer({ env: { VESTIBULE_SMTP_URL: `smtp://127.0.0.1:${port}` } });
    const person = new Person(server);
    const { json } = await person.call("Authenticate", { strategyName: "mailotp", email: "gone@b" });
    const answer = { state: json.state, code: "BCDFGH" };
    await expect.poll(async () => (await person.call("AuthCallback", answer)).json).toMatchObject(over);
    const other = await person.call("Authenticate", { strategyName: "mailotp", email: "here@example.org" });
    expect(other.status).toBe(200);
    await expect.poll(() => smtp.received.has("here@example.org")).toBe(true);
  });
});

describe("vestibule mail test", () => {
  it("says that the mail server took a mail, or in its words that it did not", async () => {
    const port = await findFreePort();
    const smtp = await startSmtp(port, (address) => (address.startsWith("nobody") ? 550 : undefined));
    const state = await createState("sqlite");
    onTestFinished(() => state.remove());
    const env = { VESTIBULE_SMTP_URL: `smtp://127.0.0.1:${port}` };
    const run = (...args: string[]) => runVestibule(["mail", ...args], state, { env });
    const taken = await run("test", "Ada@Example.org");
    expect(taken).toMatchObject({ code: 0, stderr: "" });
    expect(taken.stdout).toContain(`127.0.0.1:${port} took a mail to ada@example.org`);
    expect(smtp.received.get("ada@example.org")).toContain("to see whether mail gets out");
    const refused = await run("test", "nobody@example.org");
    expect(refused).toMatchObject({ code: 1, stdout: "" });
    expect(refused.stderr).toMatch(/^vestibule: mail test: 127\.0\.0\.1:\d+ did not take it: .*550.*\n$/);
    await smtp.stop();
    expect((await run("test", "ada@example.org")).stderr).toMatch(/did not take it: .*ECONNREFUSED/);
    for (const args of [
      [],
      ["test"],
      ["send", "ada@example.org"],
      ["test", "ada"],
      ["test", "a@b.c", "d@e.f"],
    ]) {
      const { code, stderr } = await run(...args);
      expect([code, stderr.split("\n").length], stderr).toEqual([1, 2]);
    }
  });

  it("writes it to the outbox where there is no mail server, and says so", async () => {
    const state = await createState("sqlite");
    onTestFinished(() => state.remove());
    const { code, stdout } = await runVestibule(["mail", "test", "ada@example.org"], state);
    expect([code, stdout]).toEqual([
      0,
      `written to ${state.dataDir}/outbox, and not sent: there is no smtp.url\n`,
    ]);
    expect(listMails({ state } as TestServer)).toHaveLength(1);
  });
});

describe("a mail server that refuses us for good", () => {
  it("closes sign-in by mail at once, for all to see", async () => {
    const port = await findFreePort();
    let asked = 0;
    const refusing = new SMTPServer({
      authOptional: true,
      disabledCommands: ["STARTTLS"],
      onMailFrom: (_address, _session, callback) => {
        asked += 1;
        callback(Object.assign(new Error("5.7.1 not this sender"), { responseCode: 550 }));
      },
    });
    refusing.listen(port, "127.0.0.1");
    await once(refusing.server, "listening");
    onTestFinished(() => new Promise<void>((resolve) => refusing.close(() => resolve())));
    await using server = await startServer({ env: { VESTIBULE_SMTP_URL: `smtp://127.0.0.1:${port}` } });
    const person = new Person(server);
    const list = async () => {
      const { json } = await person.call("ListAuthStrategies");
      return json.strategies.map(({ name }: { name: string }) => name);
    };
    expect(await list()).toContain("mailotp");
    const begin = () => person.call("Authenticate", { strategyName: "mailotp", email: "ann@example.org" });
    expect((await begin()).status).toBe(200);
    await expect.poll(list).not.toContain("mailotp");
    expect(await list()).not.toContain("maillink");
    expect((await begin()).json.code).toBe("unavailable");
    const login = await person.send("/login", { headers: { host: `localhost:${server.port}` } });
    expect(login.text).toContain("cannot send mail at the moment");
    const metrics = await person.send("/metrics");
    expect(metrics.text).toContain(
      `vestibule_mail_server_refusal{server="127.0.0.1:${port}",command="MAIL FROM",code="550"} 1`,
    );
    expect(asked).toBe(1);
    const url = `smtp://ann:wrong@127.0.0.1:${port}`;
    const doctor = await runVestibule(["doctor"], server.state, { env: { VESTIBULE_SMTP_URL: url } });
    expect(doctor.stdout).toContain(
      `warn  mail server: 127.0.0.1:${port} does not let us in: AUTH PLAIN: 535`,
    );
  });
});

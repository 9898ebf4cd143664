import { once } from "node:events";
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SMTPServer, type SMTPServerOptions } from "smtp-server";
import { afterEach, describe, expect, it } from "vitest";
import { type Log, silentLog } from "../lib/log.ts";
import { createMailer, type MailFailure } from "./mailer.ts";
import type { MailMessage, MailTransport } from "./message.ts";
import { createOutbox } from "./outbox.ts";
import { createSmtpTransport, parseSmtpServer } from "./smtp.ts";
import { renderMail } from "./template.ts";

const message: MailMessage = {
  to: "ann@example.org",
  subject: "Hé",
  text: "code 123",
  html: "<p>code 123</p>",
};
const from = { name: "Example, Inc. <eve@example.org>", address: "no-reply@example.org" };
const cleanUps: (() => void)[] = [];
afterEach(() => {
  for (const cleanUp of cleanUps.splice(0)) cleanUp();
});

/** A real mail server; `refuse` answers each mail's recipient. */
async function startSmtp(refuse?: () => Error | undefined, options: SMTPServerOptions = {}) {
  const received: { from: string; to: string[]; isSecure: boolean; data: string }[] = [];
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ["STARTTLS"],
    ...options,
    onRcptTo: (_address, _session, callback) => callback(refuse?.() ?? null),
    onData(stream, session, callback) {
      let data = "";
      stream.on("data", (chunk: Buffer) => (data += chunk.toString("utf8")));
      stream.on("end", () => {
        const { mailFrom, rcptTo } = session.envelope;
        const { address = "" } = mailFrom || {};
        const to = rcptTo.map((recipient) => recipient.address);
        received.push({ from: address, to, isSecure: session.secure, data });
        callback();
      });
    },
  });
  // Of a client that turned away from its certificate.
  server.on("error", () => {});
  server.listen(0, "127.0.0.1");
  await once(server.server, "listening");
  cleanUps.push(() => server.close());
  const { port } = server.server.address() as AddressInfo;
  return { url: `smtp://127.0.0.1:${port}`, received };
}

function smtpError(code: number): Error {
  return Object.assign(new Error("no"), { responseCode: code });
}

describe("SMTP", () => {
  it("calls itself by the name that it is given (EHLO)", async () => {
    const names: string[] = [];
    const { url } = await startSmtp(undefined, {
      onMailFrom: (_address, session, callback) => {
        names.push(session.hostNameAppearsAs);
        callback();
      },
    });
    const transport = await createSmtpTransport({ url, from, clientName: "id.example.com" });
    await transport.send(message);
    expect(names).toEqual(["id.example.com"]);
  });

  it("delivers text and HTML to the one address", async () => {
    const { url, received } = await startSmtp();
    const transport = await createSmtpTransport({ url, from });
    await transport.probe();
    await transport.send(message);
    expect(received).toHaveLength(1);
    expect(received[0]?.to).toEqual(["ann@example.org"]);
    expect(received[0]?.data).toMatch(/multipart\/alternative/);
    expect(received[0]?.data).toMatch(/Auto-Submitted: auto-generated/);
  });

  it("comes from one sender, whatever it is called", async () => {
    const { url, received } = await startSmtp();
    await (await createSmtpTransport({ url, from })).send(message);
    expect(received[0]?.from).toBe("no-reply@example.org");
    expect(received[0]?.data).toMatch(/^From: "Example, Inc. <eve@example.org>"\s+<no-reply@example.org>$/m);
  });

  it("goes encrypted to a server on this machine that offers it, whoever made its certificate", async () => {
    const { url, received } = await startSmtp(undefined, { disabledCommands: [] });
    const transport = await createSmtpTransport({ url, from });
    await transport.probe();
    await transport.send(message);
    expect(received[0]).toMatchObject({ to: ["ann@example.org"], isSecure: true });
  });

  it("goes to no server with TLS from the first byte whose certificate is not good", async () => {
    const { url, received } = await startSmtp(undefined, { secure: true });
    const transport = await createSmtpTransport({ url: url.replace("smtp:", "smtps:"), from });
    await expect(transport.send(message)).rejects.toThrow("certificate");
    expect(received).toEqual([]);
  });

  it("never makes several addresses of one", async () => {
    const { url, received } = await startSmtp();
    const transport = await createSmtpTransport({ url, from });
    await transport.send({ ...message, to: "ann@example.org, eve@example.org" }).catch(() => {});
    expect(received.flatMap((mail) => mail.to)).not.toContain("eve@example.org");
  });

  it.each([
    ["smtp://mail.example.org", { host: "mail.example.org", port: 587, secure: false, requireTLS: false }],
    ["smtps://mail.example.org", { host: "mail.example.org", port: 465, secure: true, requireTLS: false }],
    ["smtp://mail.example.org:25", { port: 25, tls: { rejectUnauthorized: true } }],
    ["smtp://localhost:25", { port: 25, tls: { rejectUnauthorized: false } }],
    ["smtps://localhost", { tls: { rejectUnauthorized: true } }],
    ["smtp://[::1]:25", { host: "::1", port: 25, secure: false, requireTLS: false }],
    [
      "smtp://u%40x:p%2Fw@mail.example.org:2525",
      { port: 2525, requireTLS: true, auth: { user: "u@x", pass: "p/w" } },
    ],
    ["smtp://u:p@127.0.0.1", { requireTLS: false }],
  ])("reads %s", (url, expected) => {
    expect(parseSmtpServer(url)).toMatchObject(expected);
  });
});

describe("outbox", () => {
  it("writes a file that only its owner reads, and drops those of the day before", async () => {
    const parent = mkdtempSync(join(tmpdir(), "vestibule-outbox-"));
    cleanUps.push(() => rmSync(parent, { recursive: true }));
    const folder = join(parent, "outbox");
    const lines: object[] = [];
    const log: Log = { ...silentLog, info: (fields) => lines.push(fields) };
    let nowMs = Date.now();
    const outbox = createOutbox({ folder, from, clock: { now: () => new Date(nowMs) }, log });
    await outbox.send(message);
    const [first = ""] = readdirSync(folder);
    const path = join(folder, first);
    expect(lines).toEqual([{ path }]);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(statSync(folder).mode & 0o777).toBe(0o700);
    expect(readFileSync(path, "utf8")).toMatch(/To: ann@example.org[\s\S]*code 123/);

    const old = new Date(Date.now() - 25 * 3600 * 1000);
    utimesSync(path, old, old);
    // Once an hour: looking through a folder costs more the more is in it.
    nowMs += 3600 * 1000 - 1;
    await outbox.send(message);
    expect(readdirSync(folder)).toHaveLength(2);
    nowMs += 1;
    await outbox.send(message);
    expect(readdirSync(folder)).toHaveLength(2);
    expect(readdirSync(folder)).not.toContain(first);
  });

  it("drops old files although another has gone since the folder was read", async () => {
    const folder = mkdtempSync(join(tmpdir(), "vestibule-outbox-"));
    cleanUps.push(() => rmSync(folder, { recursive: true }));
    const old = new Date(Date.now() - 25 * 3600 * 1000);
    // Listed, and not there when it is looked at.
    symlinkSync(join(folder, "gone"), join(folder, "0.eml"));
    writeFileSync(join(folder, "1.eml"), "");
    utimesSync(join(folder, "1.eml"), old, old);
    const lines: string[] = [];
    const log: Log = { ...silentLog, warn: (_fields, line) => lines.push(line) };
    const outbox = createOutbox({ folder, from, clock: { now: () => new Date() }, log });
    await outbox.send(message);
    expect(lines).toEqual([]);
    expect(readdirSync(folder)).not.toContain("1.eml");
  });

  it("shows no mail before all of it is there", async () => {
    const folder = mkdtempSync(join(tmpdir(), "vestibule-outbox-"));
    cleanUps.push(() => rmSync(folder, { recursive: true }));
    const outbox = createOutbox({ folder, from, clock: { now: () => new Date() }, log: silentLog });
    const sizes = new Set<number>();
    const look = () => {
      const names = readdirSync(folder).filter((name) => name.endsWith(".eml"));
      for (const name of names) sizes.add(statSync(join(folder, name)).size);
    };
    let isSent = false;
    const sent = outbox.send({ ...message, text: "long ".repeat(1_000_000) }).then(() => {
      isSent = true;
    });
    while (!isSent) {
      look();
      await new Promise((resolve) => setImmediate(resolve));
    }
    await sent;
    look();
    expect(sizes.size).toBe(1);
  });
});

describe("mailer", () => {
  /** A transport that does as it is told, and waits that take no time. */
  function setUp(outcomes: ("ok" | Error)[], probes: boolean[] = [], time: "flies" | "held" = "flies") {
    const waits: number[] = [];
    let next = () => {};
    let sent = 0;
    const probed = Promise.withResolvers<void>();
    const transport: MailTransport = {
      server: "smtp.example.com:587",
      async send() {
        const outcome = outcomes[sent++] ?? "ok";
        if (outcome !== "ok") throw outcome;
      },
      async probe() {
        const isUp = probes.shift() ?? true;
        if (!isUp) throw new Error("down");
        queueMicrotask(() => queueMicrotask(probed.resolve));
      },
      close: () => {},
    };
    const wait = async (ms: number) => {
      waits.push(ms);
      if (time === "held") await new Promise<void>((resolve) => (next = resolve));
    };
    const failures: unknown[] = [];
    const onFail = ({ to }: MailMessage, failure: object) => void failures.push({ to, ...failure });
    const mailer = createMailer({ transport, log: silentLog, wait, onFail });
    return { mailer, waits, failures, probed: probed.promise, sent: () => sent, next: () => next() };
  }

  const down = new Error("connection refused");
  const onFail = () => {};

  it("tries again for a minute, and stays available when that helps", async () => {
    const { mailer, waits } = setUp([down, down, "ok"]);
    const sending = mailer.send(message);
    expect(mailer.metrics()).toEqual({ accepted: 0, failed: 0, waiting: 1 });
    await sending;
    expect(mailer.isAvailable()).toBe(true);
    expect(waits).toEqual([1000, 3000]);
    expect(mailer.metrics()).toEqual({ accepted: 1, failed: 0, waiting: 0 });
  });

  it("becomes unavailable when a minute did not help, until a probe succeeds", async () => {
    const { mailer, waits, failures, probed, sent } = setUp(Array(6).fill(down), [false, false, true]);
    await expect(mailer.send(message)).rejects.toBe(down);
    expect(failures).toEqual([{ to: message.to, reason: "MAIL_UNDELIVERED", detail: "" }]);
    expect(sent()).toBe(6);
    expect(mailer.metrics()).toEqual({ accepted: 0, failed: 1, waiting: 0 });
    expect(waits.slice(0, 5).reduce((sum, ms) => sum + ms, 0)).toBe(60_000);
    expect(mailer.isAvailable()).toBe(false);
    await probed;
    await new Promise(setImmediate);
    expect(mailer.isAvailable()).toBe(true);
  });

  it("gives up in about a minute too when every try takes its time", async () => {
    let nowMs = 0;
    let tries = 0;
    const transport: MailTransport = {
      server: "smtp.example.com:587",
      async send() {
        tries += 1;
        nowMs += 10_000;
        throw down;
      },
      probe: async () => {},
      close: () => {},
    };
    const wait = async (ms: number) => {
      nowMs += ms;
    };
    const mailer = createMailer({ transport, log: silentLog, wait, onFail, monotonicMs: () => nowMs });
    await expect(mailer.send(message)).rejects.toBe(down);
    // At 0, 11, 24, 42 and 68 seconds; the next would have been at 110.
    expect(tries).toBe(5);
  });

  it.each([
    [550, 1],
    [553, 1],
    // What Postfix says of an address without a domain of its own, and of a domain that nobody knows.
    [504, 1],
    [450, 6],
  ])("does not distrust a server that answers %d to one mailbox", async (code, tries) => {
    let asked = 0;
    const failures: string[][] = [];
    const onFail = (_: MailMessage, { reason, detail }: MailFailure) => void failures.push([reason, detail]);
    const { url } = await startSmtp(() => {
      asked += 1;
      return smtpError(code);
    });
    const transport = await createSmtpTransport({ url, from });
    const mailer = createMailer({ transport, log: silentLog, wait: async () => {}, onFail });
    await expect(mailer.send(message)).rejects.toMatchObject({ responseCode: code });
    expect(failures).toEqual([
      [`${code === 450 ? "MAIL_UNDELIVERED" : "MAILBOX_REFUSED"}`, `RCPT TO: ${code}`],
    ]);
    expect(asked).toBe(tries);
    expect(mailer.isAvailable()).toBe(true);
    mailer.close();
  });

  it.each([
    ["AUTH PLAIN", 535],
    ["MAIL FROM", 550],
    ["MAIL FROM", 530],
    ["CONN", 554],
    ["STARTTLS", 502],
  ])(
    "is closed at once by %s with %d, which is not tried again, until the server lets us in",
    async (command, code) => {
      const failure = Object.assign(new Error("no"), { command, responseCode: code });
      const [down, up] = [false, true];
      const { mailer, waits, failures, probed, sent, next } = setUp([failure], [down, up], "held");
      expect(mailer.findRefusal()).toBeUndefined();
      await expect(mailer.send(message)).rejects.toBe(failure);
      expect(sent()).toBe(1);
      expect(failures).toMatchObject([{ reason: "MAIL_UNDELIVERED", detail: `${command}: ${code}` }]);
      for (let probe = 0; probe < 2; probe++) {
        expect(mailer.isAvailable()).toBe(false);
        expect(mailer.findRefusal()).toEqual({ server: "smtp.example.com:587", command, code });
        next();
        await new Promise(setImmediate);
      }
      await probed;
      expect(waits).toEqual([60_000, 60_000]);
      expect(mailer.isAvailable()).toBe(true);
      expect(mailer.findRefusal()).toBeUndefined();
    },
  );

  it.each([
    ["AUTH PLAIN", 454],
    ["MAIL FROM", 451],
  ])(
    "tries again where %s is answered with %d, and is not refused for good",
    async (command, responseCode) => {
      const failure = Object.assign(new Error("no"), { command, responseCode });
      const { mailer, sent } = setUp(Array(6).fill(failure), Array(20).fill(false));
      await expect(mailer.send(message)).rejects.toBe(failure);
      expect(sent()).toBe(6);
      expect(mailer.findRefusal()).toBeUndefined();
      mailer.close();
    },
  );

  it.each(["auth", "sender"] as const)(
    "says what a real server said to the %s, by name and code",
    async (fault) => {
      const lines: object[] = [];
      const log: Log = { ...silentLog, error: (fields: object) => void lines.push(fields) };
      let asked = 0;
      const refuse = () => {
        asked += 1;
        return smtpError(fault === "auth" ? 535 : 550);
      };
      const { url, received } = await startSmtp(undefined, {
        authOptional: fault !== "auth",
        ...(fault === "auth"
          ? { onAuth: (_auth, _session, callback) => callback(refuse()) }
          : { onMailFrom: (_address, _session, callback) => callback(refuse()) }),
      });
      const login = fault === "auth" ? url.replace("://", "://ann:wrong@") : url;
      const transport = await createSmtpTransport({ url: login, from });
      const mailer = createMailer({ transport, log, wait: () => new Promise(() => {}), onFail });
      await expect(mailer.send(message)).rejects.toThrow();
      expect([asked, received.length]).toEqual([1, 0]);
      const server = url.replace("smtp://", "");
      const said =
        fault === "auth" ? { command: "AUTH PLAIN", code: 535 } : { command: "MAIL FROM", code: 550 };
      expect(mailer.findRefusal()).toEqual({ server, ...said });
      expect(lines).toEqual([{ server, ...said }]);
      mailer.close();
    },
  );

  it.each([
    ["RCPT TO", 451],
    ["MAIL FROM", 550],
    ["CONN", 554],
    ["AUTH PLAIN", 535],
  ])("distrusts a server that answers %s with %d", async (command, responseCode) => {
    const failure = Object.assign(new Error("no"), { command, responseCode });
    const { mailer } = setUp(Array(6).fill(failure), Array(20).fill(false));
    await expect(mailer.send(message)).rejects.toBe(failure);
    expect(mailer.isAvailable()).toBe(false);
    mailer.close();
  });

  it("fails against a server that accepts nothing", async () => {
    const { url, received } = await startSmtp(() => smtpError(451));
    const transport = await createSmtpTransport({ url, from });
    const mailer = createMailer({ transport, log: silentLog, wait: async () => {}, onFail });
    await expect(mailer.send(message)).rejects.toThrow();
    expect(received).toEqual([]);
  });
});

describe("templates", () => {
  const template = {
    subject: "Sign in\r\nBcc: eve@example.org",
    body: "Code {{.Otp}}\n\nor {{ .Link }}, {{.Minutes}} min",
  };
  const values = { site: "<Example>", otp: "AB<1>", link: "https://id.example.org/?a=1&b=2", minutes: 10 };

  it("fill the values into text and HTML, escaped there", () => {
    const mail = renderMail(template, values);
    expect(mail.text).toBe("Code AB<1>\n\nor https://id.example.org/?a=1&b=2, 10 min");
    expect(mail.html).toContain("AB&#60;1&#62;");
    expect(mail.html).toContain('href="https://id.example.org/?a=1&#38;b=2"');
    expect(mail.subject).not.toMatch(/[\r\n]/);
    expect(mail.html).toContain("&#60;Example&#62;");
    expect(mail.html.match(/<Example>|AB<1>/)).toBeNull();
  });

  it("leave other braces and an absent link alone", () => {
    const mail = renderMail(
      { subject: "s", body: "{{.Other}} {{.Link}}|<b>" },
      { site: "", otp: "1", minutes: 1 },
    );
    expect(mail.text).toBe("{{.Other}} |<b>");
    expect(mail.html).toContain("{{.Other}} |&#60;b&#62;");
  });
});

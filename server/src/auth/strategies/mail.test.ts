import { describe, expect, it } from "vitest";
import type { Metadata } from "../../lib/metadata.ts";
import type { MailMessage } from "../../mail/message.ts";
import type { BeginRequest, Strategy } from "../strategy.ts";
import { createMailLinkStrategy, mailLinkTemplate } from "./mail-link.ts";
import { createMailOtpStrategy, mailOtpTemplate } from "./mail-otp.ts";
import { newCode, normalizeCode } from "./mailed-code.ts";

const request: BeginRequest = {
  email: "ann@example.org",
  callbackUrl: "https://app.example.org/callback",
  state: "state-of-the-flow",
};

const refused = { server: "smtp.example.com:587", command: "AUTH PLAIN", code: 535 };

function setUp(isAvailable = true, linkBody = mailLinkTemplate.body, refusal?: typeof refused) {
  const mailer = { isAvailable: () => isAvailable, findRefusal: () => refusal };
  const common = {
    mailer,
    validitySeconds: 600,
    siteName: "Example",
  };
  const otp = createMailOtpStrategy({ ...common, template: mailOtpTemplate });
  const link = createMailLinkStrategy({
    ...common,
    template: { ...mailLinkTemplate, body: linkBody },
    landingUrl: "https://id.example.org/auth/callback",
  });
  return { otp, link };
}

function finish(strategy: Strategy, secret: Metadata, code: string) {
  const flow = { id: "f", email: "ann@example.org", callbackUrl: request.callbackUrl, secret };
  return strategy.finish({ code, stateOptions: {}, flow });
}

const codeIn = (mail: MailMessage | undefined) => /^([2-9B-Z]{6})$/m.exec(mail?.text ?? "")?.[1] ?? "";
const proof = { kind: "mailbox", email: "ann@example.org" };
const wrong = { reason: "INVALID_OTP", message: "invalid mail otp" };

describe("mailotp", () => {
  it("has a fixed code and no mail for addresses that are for tests, and for no others", async () => {
    const otp = createMailOtpStrategy({
      siteName: "Example",
      mailer: { isAvailable: () => true, findRefusal: () => undefined },
      template: mailOtpTemplate,
      validitySeconds: 600,
      findFixedCode: (email) => (email.endsWith("@test.example.com") ? "111 aaa" : undefined),
    });
    const fixed = await otp.begin({ ...request, email: "ann@test.example.com" });
    expect(fixed.mail).toBeUndefined();
    expect(await finish(otp, fixed.secret, "111AAA")).toEqual(proof);
    await expect(finish(otp, fixed.secret, "222222")).rejects.toMatchObject(wrong);
    const other = await otp.begin({ ...request, email: "ann@nottest.example.com" });
    await expect(finish(otp, other.secret, "111AAA")).rejects.toMatchObject(wrong);
  });

  it("mails a code and takes it back, in any case and spacing", async () => {
    const { otp } = setUp();
    const begun = await otp.begin(request);
    const code = codeIn(begun.mail);
    expect(begun.mail?.to).toBe("ann@example.org");
    expect(JSON.stringify(begun.secret)).not.toContain(code);
    for (const typed of [
      code,
      code.toLowerCase(),
      `${code.slice(0, 3)} ${code.slice(3)}`,
      `${code.slice(0, 3)}-${code.slice(3)}\n`,
    ]) {
      expect(await finish(otp, begun.secret, typed)).toEqual(proof);
    }
  });

  it("says in a mail whose code joins an account elsewhere that it does", async () => {
    const { otp } = setUp();
    expect((await otp.begin(request)).mail?.text).not.toContain("account at Acme");
    const { mail } = await otp.begin({ ...request, joins: "acme" });
    expect(mail?.text).toContain("account at Acme");
    expect(mail?.html).toContain("account at Acme");
    expect(codeIn(mail)).toHaveLength(6);
  });

  it.each(["", "AAAAAA", "x".repeat(5000)])("refuses %j", async (code) => {
    const { otp } = setUp();
    const begun = await otp.begin(request);
    await expect(finish(otp, begun.secret, code)).rejects.toMatchObject(wrong);
  });

  it("refuses another flow's code, and a flow that kept none", async () => {
    const { otp } = setUp();
    const first = await otp.begin(request);
    const { mail } = await otp.begin(request);
    await expect(finish(otp, first.secret, codeIn(mail))).rejects.toMatchObject(wrong);
    await expect(finish(otp, {}, codeIn(mail))).rejects.toMatchObject(wrong);
  });

  it("needs an address, and mail that works", async () => {
    const { email: _email, ...nobody } = request;
    await expect(setUp().otp.begin(nobody)).rejects.toMatchObject({ reason: "INVALID_EMAIL" });
    await expect(setUp(false).otp.begin(request)).rejects.toMatchObject({ reason: "UNAVAILABLE" });
    await expect(setUp(false).link.begin(request)).rejects.toMatchObject({ reason: "UNAVAILABLE" });
  });
});

describe("maillink", () => {
  it("mails a link to the public URL and a code, and takes either", async () => {
    const { link } = setUp();
    const begun = await link.begin(request);
    const url = new URL(/https:\S+/.exec(begun.mail?.text ?? "")?.[0] ?? "");
    expect(url.origin + url.pathname).toBe("https://id.example.org/auth/callback");
    expect(url.searchParams.get("state")).toBe(request.state);
    const token = url.searchParams.get("code") ?? "";
    expect(Buffer.from(token, "base64url")).toHaveLength(32);
    expect(JSON.stringify(begun.secret)).not.toContain(token);
    expect(await finish(link, begun.secret, token)).toEqual(proof);
    expect(await finish(link, begun.secret, codeIn(begun.mail))).toEqual(proof);
    await expect(finish(link, begun.secret, token.toUpperCase())).rejects.toMatchObject(wrong);
    await expect(finish(link, begun.secret, `${token}x`)).rejects.toMatchObject(wrong);
  });

  it("tells what a link carries from what can be guessed, and takes each for itself alone", async () => {
    const { link, otp } = setUp();
    // Padded with what typing ignores, a code can have a link's form, if its last symbol ends 256 bits.
    let [secret, code]: [Metadata, string] = [{}, ""];
    while (!/[48MQY]$/.test(code)) {
      const begun = await link.begin(request);
      [secret, code] = [begun.secret, codeIn(begun.mail)];
    }
    const padded = code.padStart(43, "-");
    expect([link, otp].map((strategy) => strategy.isUnguessable?.(padded))).toEqual([true, undefined]);
    expect(link.isUnguessable?.(code)).toBe(false);
    expect(await finish(link, secret, code)).toEqual(proof);
    await expect(finish(link, secret, padded)).rejects.toMatchObject(wrong);
    expect(await finish(link, secret, code.padStart(42, "-"))).toEqual(proof);
    expect(link.isUnguessable?.(code.padStart(42, "-"))).toBe(false);
  });
});

describe("a template of one's own for links", () => {
  it.each([
    ["without the code", "Go to {{.Link}}\n", 1],
    ["with it", "{{ .Otp }} or {{.Link}}", 0],
  ])("carries the code %s", async (_, body, hints) => {
    const { link } = setUp(true, body);
    const begun = await link.begin(request);
    const text = begun.mail?.text ?? "";
    expect(text.match(/in another browser, type this code/g) ?? []).toHaveLength(hints);
    const code = /\b([2-9B-DF-HJ-NP-TV-Z]{6})\b/.exec(text)?.[1] ?? "";
    expect(await finish(link, begun.secret, code)).toEqual(proof);
  });
});

describe("codes", () => {
  it("are six symbols that nobody confuses, all different", () => {
    const codes = Array.from({ length: 2000 }, newCode);
    for (const code of codes) expect(code).toMatch(/^[23456789BCDFGHJKLMNPQRSTVWXYZ]{6}$/);
    expect(new Set(codes).size).toBeGreaterThan(1990);
    expect(normalizeCode(" ab-c d2 3\n")).toBe("ABCD23");
  });

  it("closes both ways by mail while the mail server refuses us for good", () => {
    for (const strategy of Object.values(setUp())) expect(strategy.isClosed?.()).toBe(false);
    for (const strategy of Object.values(setUp(false, mailLinkTemplate.body, refused))) {
      expect(strategy.isClosed?.()).toBe(true);
    }
  });

  it.each([
    ["full-width letters and digits", "ａＢｃｄ２３"],
    ["spaces of any kind", "\u00a0AB\u3000CD\u2009\u20282\ufeff3\u200b"],
    ["dashes of any kind", "A\u2010B\u2013C\u2014D\u22122\uff0d3"],
    ["the long vowel of a Japanese keyboard", "AB\u30fcCD\uff7023"],
    ["what is not seen", "\u202aABC\u00adD23\u2069"],
  ])("takes a code typed with %s", (_, typed) => {
    expect(normalizeCode(typed)).toBe("ABCD23");
  });

  it("takes no other letter for one of the code's", () => {
    for (const typed of ["АBCD23", "ABCD2Ƽ", "AB.CD23", "AB_CD23"])
      expect(normalizeCode(typed)).not.toBe("ABCD23");
  });
});

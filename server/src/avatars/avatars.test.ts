import { sql } from "kysely";
import { beforeAll, describe, expect, it } from "vitest";
import { describeDatabases } from "../../../test/parts/databases.ts";
import { gif, jpeg, toBytes, toChunk, toDataUrl, toPng } from "../../../test/parts/pictures.ts";
import { expectIndexesOnly } from "../../../test/parts/query-plans.ts";
import type { Database, Tx } from "../db/database.ts";
import { newId } from "../lib/ids.ts";
import { findUser, insertUser, updateUser } from "../users/store.ts";
import { toNewUser } from "../users/user.ts";
import { Avatars } from "./avatars.ts";
import { findHash } from "./path.ts";
import { findAvatar, releaseAvatar } from "./store.ts";

const clock = { now: () => new Date() };
const publicUrl = "https://id.example.com";
const avatars = new Avatars({ clock, publicUrl });
const read = (value: string) => avatars.read("body.avatar", value);
const png = toDataUrl(toPng());

describe("what a picture may be", () => {
  it.each([
    ["nothing", ""],
    ["a URL elsewhere", "https://example.org/a.png?s=80#x"],
    ["a URL of 2048 characters", `https://example.org/${"a".repeat(2028)}`],
  ])("%s", (_name, value) => {
    expect(read(value)).toEqual({ stored: value });
    expect(avatars.show(value)).toBe(value);
  });

  it.each([
    ["a PNG", png, "image/png"],
    ["a JPEG", jpeg, "image/jpeg"],
    ["a GIF", gif, "image/gif"],
    ["the largest PNG", toDataUrl(toPng({ width: 2048, height: 2048 })), "image/png"],
    ["a PNG with a text", toDataUrl(toPng({}, [toChunk("tEXt", Buffer.from("a\0b"))])), "image/png"],
  ])("%s, kept by what it is and answered as a URL that names it", (_name, value, type) => {
    const draft = read(value);
    expect(draft).toEqual({ stored: expect.any(String), picture: { type, bytes: toBytes(value) } });
    const shown = avatars.show(draft.stored);
    expect(shown).toMatch(/^https:\/\/id\.example\.com\/avatars\/[A-Za-z0-9_-]{43}$/);
    expect(read(shown)).toEqual({ stored: draft.stored });
    expect(read(value).stored).toBe(draft.stored);
  });

  it("of 250000 characters, and of no more", () => {
    const padded = (bytes: number) => toDataUrl(toPng({}, [toChunk("teXt", Buffer.alloc(bytes, "x"))]));
    const spare = 250_000 - padded(0).length;
    const most = Math.floor(spare / 4) * 3;
    expect(padded(most).length).toBeGreaterThan(249_990);
    expect(padded(most).length).toBeLessThanOrEqual(250_000);
    expect(read(padded(most)).picture?.type).toBe("image/png");
    expect(() => read(padded(most + 6))).toThrow("as a data URL of at most 250000");
  });

  it.each([
    ["a URL without TLS", "http://example.org/a.png"],
    ["a script", "javascript:alert(1)"],
    ["a path", "/avatars/x"],
    ["no host", "https://"],
    ["a space in a URL", "https://example.org/a b"],
    ["a control in a URL", "https://example.org/\u0001"],
    ["a NUL", "https://example.org/\0"],
    ["what turns the writing", "https://example.org/\u202egpj.exe"],
    ["a URL of 2049 characters", `https://example.org/${"a".repeat(2029)}`],
    ["SVG", `data:image/svg+xml;base64,${Buffer.from("<svg onload=alert(1)/>").toString("base64")}`],
    ["a page", `data:text/html;base64,${Buffer.from("<script>1</script>").toString("base64")}`],
    ["no base64", "data:image/png,abc"],
    ["nothing in it", "data:image/png;base64,"],
    ["a parameter", png.replace(";base64", ";x=y;base64")],
    ["base64 that is not canonical", `${toDataUrl(toPng(), "image/png").replace(/=*$/, "")}=====`],
    ["base64 of the other alphabet", png.replace("+", "-").replace(/\/(?=[^/]*$)/, "_")],
    ["a line break", png.replace(/(.{80})/, "$1\n")],
  ])("not %s", (_name, value) => {
    const refused = { reason: "INVALID_REQUEST", violations: [{ field: "body.avatar" }] };
    expect(() => read(value)).toThrow(expect.objectContaining({ reason: refused.reason }));
    expect(() => read(value)).toThrow(/^body\.avatar: must be/);
  });

  const bytes = toPng();
  const damaged = Buffer.from(bytes);
  damaged[20] = 9;
  const jpegBytes = toBytes(jpeg);
  const gifBytes = toBytes(gif);
  const zip = Buffer.from("PK\x03\x04 and more", "latin1");
  const script = Buffer.from("<script>alert(1)</script>");
  const end = toChunk("IEND", Buffer.alloc(0));
  const large = Buffer.from(jpegBytes);
  large.writeUInt16BE(2049, large.indexOf(Buffer.from([0xff, 0xc0])) + 5);
  it.each<[string, string, Buffer]>([
    ["a magic number alone", "image/png", bytes.subarray(0, 8)],
    ["a PNG that is cut off", "image/png", bytes.subarray(0, bytes.length - 5)],
    ["a PNG that goes on", "image/png", Buffer.concat([bytes, zip])],
    ["a PNG with a wrong checksum", "image/png", damaged],
    ["a PNG without pixels", "image/png", Buffer.concat([bytes.subarray(0, 33), end])],
    ["a PNG with a chunk nobody knows how to draw", "image/png", toPng({}, [toChunk("ABCD", script)])],
    ["a PNG of two pictures", "image/png", toPng({}, [toPng().subarray(8, 33)])],
    ["a PNG that is too wide", "image/png", toPng({ width: 2049 })],
    ["a PNG that is too high", "image/png", toPng({ height: 2049 })],
    ["a PNG of no width", "image/png", toPng({ width: 0 })],
    ["a bomb", "image/png", toPng({ width: 2 ** 31 - 1, height: 2 ** 31 - 1 })],
    ["a JPEG that is called a PNG", "image/png", jpegBytes],
    ["a PNG that is called a JPEG", "image/jpeg", bytes],
    ["a GIF that is called a JPEG", "image/jpeg", gifBytes],
    ["a JPEG that is cut off", "image/jpeg", jpegBytes.subarray(0, jpegBytes.length - 2)],
    ["a JPEG that goes on", "image/jpeg", Buffer.concat([jpegBytes, script])],
    ["a JPEG of markers alone", "image/jpeg", Buffer.from([0xff, 0xd8, 0xff, 0xd9])],
    ["a JPEG that is too high", "image/jpeg", large],
    ["a page that begins like a GIF", "image/gif", Buffer.from("GIF89a/*<script>alert(1)</script>*/=1;")],
    ["a GIF that is cut off", "image/gif", gifBytes.subarray(0, gifBytes.length - 1)],
    ["a GIF that goes on", "image/gif", Buffer.concat([gifBytes, zip])],
    ["a GIF without a picture", "image/gif", Buffer.from("GIF89a\x01\0\x01\0\0\0\0;", "latin1")],
    ["a GIF of no width", "image/gif", Buffer.concat([Buffer.from("GIF89a\0\0"), gifBytes.subarray(8)])],
    ["a page", "image/jpeg", script],
    ["a type that is no picture's", "image/bmp", bytes],
    ["a name that all objects have", "image/constructor", bytes],
  ])("not %s", (_name, type, content) => {
    expect(() => read(toDataUrl(content, type))).toThrow(/^body\.avatar: must be/);
  });

  it("never what random damage makes of one, without an error of our own", () => {
    for (const whole of [bytes, jpegBytes, gifBytes]) {
      for (const type of ["image/png", "image/jpeg", "image/gif"]) {
        for (let length = 0; length < whole.length; length++) {
          expect(() => read(toDataUrl(whole.subarray(0, length), type))).toThrow(/^body\.avatar: must be/);
        }
      }
    }
  });
});

describeDatabases("pictures", (under) => {
  let database: Database;
  beforeAll(() => {
    database = under.database;
  });
  let shade = 0;
  const newPicture = () => toDataUrl(toPng({ shade: ++shade, width: 5 }));

  /** Somebody new who has a picture. */
  async function newOwner(picture: string) {
    const user = { ...toNewUser(`${newId(clock.now())}@example.org`, clock.now()), avatar: "" };
    await database.transaction((tx) => insertUser(tx, user));
    await setPicture(user.id, picture);
    return user.id;
  }

  async function setPicture(id: string, picture: string, there = database): Promise<void> {
    const draft = read(picture);
    await there.transaction(async (tx) => {
      const before = await findUser(tx, id);
      if (before === undefined) throw new Error("gone");
      await avatars.keep(tx, "body.avatar", draft);
      await updateUser(tx, before, { ...before, avatar: draft.stored });
    });
  }

  const isKept = async (picture: string) =>
    (await findAvatar(database.reader, findHash(read(picture).stored) ?? "")) !== undefined;

  it("are kept once for all who have them, and gone with the last", async () => {
    const picture = newPicture();
    const [one, two] = [await newOwner(picture), await newOwner(picture)];
    const stored = await findAvatar(database.reader, findHash(read(picture).stored) ?? "");
    expect(stored).toEqual({ type: "image/png", bytes: toBytes(picture) });
    await setPicture(one, newPicture());
    expect(await isKept(picture)).toBe(true);
    await setPicture(two, "https://example.org/a.png");
    expect(await isKept(picture)).toBe(false);
  });

  it("that somebody has are had by others by their URL; those that nobody has are not", async () => {
    const picture = newPicture();
    const one = await newOwner(picture);
    const url = avatars.show(read(picture).stored);
    const two = await newOwner(url);
    await setPicture(one, "");
    expect(await isKept(picture)).toBe(true);
    await setPicture(two, "");
    await expect(setPicture(one, url)).rejects.toMatchObject({ reason: "INVALID_REQUEST" });
  });

  it("are there for whoever has them, at whichever processes they are taken and put away", async () => {
    const elsewhere = await under.openAnother();
    for (let round = 0; round < 10; round++) {
      const picture = newPicture();
      const one = await newOwner(picture);
      const two = await newOwner("");
      await Promise.all([setPicture(one, ""), setPicture(two, picture, elsewhere)]);
      expect(await isKept(picture)).toBe(true);
      const three = await newOwner(picture);
      await Promise.all([setPicture(two, ""), setPicture(three, "", elsewhere)]);
      expect(await isKept(picture)).toBe(false);
    }
  });

  it("are released by indexes alone", async () => {
    const path = `/avatars/${"x".repeat(43)}`;
    await database.transaction(async (tx) => {
      // Of tables that are all but empty it would read the whole.
      if (under.database.dialect === "postgres") await sql`set local enable_seqscan = off`.execute(tx);
      await expectIndexesOnly(tx, (watched) => releaseAvatar(watched as Tx, path));
    });
  });
});

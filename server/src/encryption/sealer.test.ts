import { randomBytes } from "node:crypto";
import { describe, expect, it } from "vitest";
import { createSealer, encryptionKeyId, type SealPlace, toCheckValue } from "./sealer.ts";

const place: SealPlace = { purpose: "signing-key", table: "signing_keys", rowId: "k1", column: "private" };
const secret = Buffer.from("a private key");

describe("sealer", () => {
  it("opens what it sealed, never twice the same", () => {
    const sealer = createSealer([randomBytes(32)]);
    const sealed = sealer.seal(place, secret);
    expect(sealer.open(place, sealed)).toEqual(secret);
    expect(sealer.seal(place, secret)).not.toBe(sealed);
    expect(sealed).not.toContain(secret.toString("base64url"));
  });

  it("opens under an older key, and seals under the first", () => {
    const older = randomBytes(32);
    const newer = randomBytes(32);
    const sealed = createSealer([older]).seal(place, secret);
    const both = createSealer([newer, older]);
    expect(both.open(place, sealed)).toEqual(secret);
    expect(both.seal(place, secret).split(".")[1]).toBe(encryptionKeyId(newer));
  });

  it.each<[string, Partial<SealPlace>]>([
    ["table", { table: "other" }],
    ["row", { rowId: "k2" }],
    ["column", { column: "public" }],
  ])("does not open at another %s", (_name, change) => {
    const sealer = createSealer([randomBytes(32)]);
    const sealed = sealer.seal(place, secret);
    expect(() => sealer.open({ ...place, ...change }, sealed)).toThrow();
  });

  it.each([
    [
      "a flipped byte",
      (sealed: string) => `${sealed.slice(0, -6)}${sealed.at(-6) === "A" ? "B" : "A"}${sealed.slice(-5)}`,
    ],
    ["a cut end", (sealed: string) => sealed.slice(0, -8)],
    ["another version", (sealed: string) => sealed.replace("v1.", "v2.")],
    ["a further part", (sealed: string) => `${sealed}.x`],
    ["nothing", () => ""],
  ])("refuses %s", (_name, damage) => {
    const sealer = createSealer([randomBytes(32)]);
    const sealed = sealer.seal(place, secret);
    expect(() => sealer.open(place, damage(sealed))).toThrow();
  });

  it("names the key that is missing", () => {
    const foreign = randomBytes(32);
    const sealed = createSealer([foreign]).seal(place, secret);
    expect(() => createSealer([randomBytes(32)]).open(place, sealed)).toThrow(encryptionKeyId(foreign));
  });

  it("derives id and check value apart from each other and from the key", () => {
    const key = randomBytes(32);
    expect(toCheckValue(key)).not.toContain(encryptionKeyId(key));
    expect(toCheckValue(key)).not.toBe(key.toString("base64url"));
    expect(toCheckValue(key)).toBe(toCheckValue(Buffer.from(key)));
  });
});

import { generateKeyPairSync } from "node:crypto";
import { setImmediate as nextTurn } from "node:timers/promises";
import { expect, it } from "vitest";
import type { SigningAlgorithm } from "../signatures/algorithms.ts";
import { isSignatureOf } from "../signatures/signing.ts";
import { type BatchedSigningOptions, createBatchedSign } from "./keyring.ts";

const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });

/** A signer that notes what it signs, and whose clock goes on by a millisecond a signature. */
function arrange(options: BatchedSigningOptions = {}) {
  const signed: string[] = [];
  let nowMs = 0;
  const sign = createBatchedSign({
    signOne(_algorithm, _key, data) {
      nowMs += 1;
      if (data.toString() === "bad") throw new RangeError("bad");
      signed.push(data.toString());
      return Buffer.from(`of ${data}`);
    },
    monotonicMs: () => nowMs,
    ...options,
  });
  return {
    signed,
    sign: async (text: string) => (await sign("ES256", privateKey, Buffer.from(text))).toString(),
  };
}

it.each<SigningAlgorithm>(["ES256", "EdDSA", "RS256"])("makes the signatures of %s", async (algorithm) => {
  const keys =
    algorithm === "ES256"
      ? { privateKey, publicKey }
      : algorithm === "EdDSA"
        ? generateKeyPairSync("ed25519")
        : generateKeyPairSync("rsa", { modulusLength: 2048 });
  const sign = createBatchedSign();
  const texts = ["a", "b", "c"].map((text) => Buffer.from(text));
  const signatures = await Promise.all(texts.map((text) => sign(algorithm, keys.privateKey, text)));
  for (const [index, text] of texts.entries()) {
    expect(isSignatureOf(algorithm, keys.publicKey, text, signatures[index] ?? Buffer.alloc(0))).toBe(true);
  }
});

it("signs what one turn brings together, in its order, once all of it is there", async () => {
  const { signed, sign } = arrange();
  const first = sign("a");
  await Promise.resolve();
  const second = sign("b");
  expect(signed).toEqual([]);
  expect(await Promise.all([first, second])).toEqual(["of a", "of b"]);
  expect(signed).toEqual(["a", "b"]);
  expect(await sign("c")).toBe("of c");
});

it("refuses what cannot be signed, and that alone", async () => {
  const { sign } = arrange();
  const results = await Promise.allSettled([sign("a"), sign("bad"), sign("b")]);
  expect(results).toMatchObject([{ value: "of a" }, { reason: new RangeError("bad") }, { value: "of b" }]);
});

it("gives other work a turn when there is much to sign", async () => {
  const { signed, sign } = arrange({ sliceMs: 2 });
  const all = Promise.all(["a", "b", "c", "d", "e"].map(sign));
  await nextTurn();
  expect(signed).toEqual(["a", "b"]);
  const late = sign("f");
  await nextTurn();
  expect(signed).toEqual(["a", "b", "c", "d"]);
  await all;
  expect(await late).toBe("of f");
});

it("signs at least one a turn, however long that takes", async () => {
  const { sign } = arrange({ sliceMs: 0 });
  expect(await Promise.all([sign("a"), sign("b")])).toEqual(["of a", "of b"]);
});

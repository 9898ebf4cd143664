/** One corpus of odd tokens and odd keys, before every place that verifies a signature: all give the same answer. */
import { afterAll, describe, expect, it } from "vitest";
import { keyCases } from "./parts/signatures/key-cases.ts";
import { openPlaces } from "./parts/signatures/places.ts";
import { type Algorithm, makeSigner, type Signer } from "./parts/signatures/signer.ts";
import { tokenCases, type Verdict } from "./parts/signatures/token-cases.ts";

const { places, close } = await openPlaces();
afterAll(close);

const signers = new Map<Algorithm, Signer>();

function signerOf(algorithm: Algorithm): Signer {
  const signer = signers.get(algorithm) ?? makeSigner(algorithm);
  signers.set(algorithm, signer);
  return signer;
}

const toVerdict = (isTaken: boolean): Verdict => (isTaken ? "accepted" : "refused");

describe.each(places.map((place) => [place.name, place] as const))("%s", (_, place) => {
  const tokens = place.algorithms.flatMap((algorithm) =>
    tokenCases[algorithm].map((each) => [`${algorithm}: ${each[0]}`, algorithm, each] as const),
  );
  it.each(tokens)("judges %s", async (_name, algorithm, [, verdict, make]) => {
    const { draft, judge } = await place.begin();
    const signer = signerOf(algorithm);
    const token = make({ ...signer, header: { ...draft.header, alg: algorithm }, claims: draft.claims });
    const jwk = { ...signer.publicJwk, kid: draft.header.kid };
    expect(toVerdict(await judge({ token, jwk }))).toBe(verdict);
  });

  const keys = keyCases.filter(
    ([, , algorithm]) => place.takesForeignKeys && place.algorithms.includes(algorithm),
  );
  it.runIf(keys.length > 0).each(keys)("judges a key, %s", async (_name, verdict, _algorithm, make) => {
    const { draft, judge } = await place.begin();
    expect(toVerdict(await judge(make(draft)))).toBe(verdict);
  });
});

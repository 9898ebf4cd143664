/** The gate and issuers that answer by network: away, flooded, with other keys than before. */
import { afterEach, beforeEach, expect, it } from "vitest";
import {
  createTestContext,
  makeKey,
  startIssuer,
  type TestIssuer,
} from "../../frontdoor/provider-types/test-support.ts";
import { bearer, TestGate } from "../test-support.ts";

const key = makeKey("k1");
let issuer: TestIssuer;
let gate: TestGate;

beforeEach(async () => {
  issuer = await startIssuer(key);
  gate = new TestGate(createTestContext({ now: new Date() }));
  const data = { issuer: issuer.origin, clientId: "app" };
  gate.serve(
    [],
    {},
    {
      providers: [
        { id: "oidc", name: "oidc", type: "OIDC", enabled: true, revision: 1, sessionsFrom: 1, data },
      ],
    },
  );
});
afterEach(() => issuer.close());

function token(header: object = {}, by = key) {
  const exp = Math.floor(gate.context.clock.now().getTime() / 1000) + 7200;
  return bearer(by.sign({ iss: issuer.origin, aud: "app", sub: "alice", exp }, header));
}

const reason = (headers: Record<string, string>) => gate.reason(headers, { requestId: `${Math.random()}` });
const fetchesOf = (path: string) => issuer.seen.filter((seen) => seen === `GET ${path}`).length;

it("one that is down: what is known of it is good for an hour more, and then nobody comes in", async () => {
  expect(await reason(token())).toBe("IDENTIFIED");
  await issuer.close();
  for (let minutes = 0; minutes < 60; minutes += 10) {
    gate.context.pass(600);
    expect(await reason(token())).toBe("IDENTIFIED");
  }
  const remembered = token();
  expect(await reason(remembered)).toBe("IDENTIFIED");
  // Five minutes fresh and an hour stale; what was decided before that is forgotten within another.
  gate.context.pass(360);
  expect(await reason(token())).toBe("UNAVAILABLE");
  expect(await reason(remembered)).toBe("UNAVAILABLE");
});

it("one that was never reached: nobody comes in, and it is asked again later", async () => {
  await issuer.close();
  expect(await reason(token())).toBe("UNAVAILABLE");
  expect(gate.logged).toEqual([]);
});

it("unknown keys by the thousand: it is asked once more in half a minute", async () => {
  expect(await reason(token())).toBe("IDENTIFIED");
  const flood = () =>
    Promise.all(Array.from({ length: 1000 }, (_, index) => reason(token({ kid: `none-${index}` }))));
  gate.context.pass(31);
  expect(new Set(await flood())).toEqual(new Set(["BAD_CREDENTIAL", "TOO_MANY_FAILURES"]));
  await flood();
  expect(fetchesOf("/jwks")).toBeLessThanOrEqual(2);
  // Whoever has a good token comes in all the while.
  expect(await reason(token())).toBe("IDENTIFIED");
});

it("one that withdraws a key: who came in by it does not for much longer", async () => {
  const next = makeKey("k2");
  const old = token();
  expect(await reason(old)).toBe("IDENTIFIED");
  issuer.keySet.keys = [next.jwk];
  gate.context.pass(301);
  // The first who asks has it fetched.
  await reason(token({}, next));
  expect(await reason(token({}, next))).toBe("IDENTIFIED");
  gate.context.pass(60);
  expect(await reason(old)).toBe("BAD_CREDENTIAL");
});

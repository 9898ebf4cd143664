import { describe, expect, it } from "vitest";
import { TestGate } from "../test-support.ts";

const navigation = { "sec-fetch-mode": "navigate", "sec-fetch-dest": "document" };
const start = "https://app.example.com/.vestibule/start?rt=";

/** Where somebody is sent who is denied. */
async function loginOf(gate: TestGate, ...asked: Parameters<TestGate["ask"]>): Promise<string | undefined> {
  const decision = await gate.ask(...asked);
  if (decision.isAllowed) throw new Error("nobody was denied");
  return decision.login;
}

describe("somebody who is denied", () => {
  const gate = new TestGate();

  it("is sent to sign in where people can, and back to what they came for", async () => {
    gate.serve(["jwt", "own"]);
    expect(await loginOf(gate, navigation, { target: "/a?b=%2F&c" })).toBe(`${start}%2Fa%3Fb%3D%252F%26c`);
    expect(await loginOf(gate, { cookie: "__Host-vestibule=x" })).toBe(`${start}%2F`);
    expect(await loginOf(gate, navigation, { target: "//evil.example" })).toBe(`${start}%2F%2Fevil.example`);
    expect(await loginOf(gate, navigation, { target: `/${"x".repeat(4096)}` })).toBe(`${start}%2F`);
  });

  it("is sent by the frontend's own scheme, at the host that was asked for", async () => {
    gate.serve(["own"], {}, { at: "localhost:8080", scheme: "http" });
    expect(await loginOf(gate, navigation, { host: "localhost:8080" })).toBe(
      "http://localhost:8080/.vestibule/start?rt=%2F",
    );
  });

  it("is not where a credential was bad, or two were there, or nobody signs in by browser", async () => {
    gate.serve(["jwt", "own"]);
    expect(await loginOf(gate, { authorization: "Bearer x" })).toBeUndefined();
    expect(await loginOf(gate, { cookie: ["__Host-vestibule=x", "__Host-vestibule=y"] })).toBeUndefined();
    expect(await loginOf(gate, { upgrade: "websocket" }, { host: "unknown.example.com" })).toBeUndefined();
    gate.serve(["jwt", "keys"]);
    expect(await loginOf(gate, navigation)).toBeUndefined();
  });

  it("is never sent round in circles by a proxy that asks about the gate's own pages", async () => {
    gate.serve(["own"]);
    for (const target of ["/.vestibule/start?rt=%2F", "/.vestibule/finish", "/.vestibule/"]) {
      expect(await loginOf(gate, navigation, { target })).toBeUndefined();
    }
  });
});

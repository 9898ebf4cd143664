import { expect, it } from "vitest";
import { createJwksHandler } from "./jwks.ts";
import type { KeyringSnapshot } from "./keyring.ts";

function toSnapshot(etag: string): KeyringSnapshot {
  const jwks = { keys: [], body: `{"keys":["${etag}"]}`, etag: `"${etag}"` };
  return { jwks } as unknown as KeyringSnapshot;
}

const ask = (ifNoneMatch?: string) => ({
  header: new Headers(ifNoneMatch === undefined ? {} : { "if-none-match": ifNoneMatch }),
});

it("answers the keys in memory at once, and those it must read when they are there", async () => {
  let inMemory: KeyringSnapshot | undefined = toSnapshot("first");
  const answer = createJwksHandler({ peek: () => inMemory, get: async () => toSnapshot("second") });
  expect(answer(ask())).toMatchObject({ status: 200, body: '{"keys":["first"]}' });
  inMemory = undefined;
  expect(await answer(ask())).toMatchObject({ status: 200, body: '{"keys":["second"]}' });
});

it("follows a change of keys: body and entity tag together", () => {
  let current = toSnapshot("old");
  const answer = createJwksHandler({ peek: () => current, get: async () => current });
  expect(answer(ask('"old"'))).toMatchObject({ status: 304, body: "" });
  current = toSnapshot("new");
  expect(answer(ask('"old"'))).toMatchObject({
    status: 200,
    headers: { etag: '"new"', "cache-control": "public, max-age=300" },
    body: '{"keys":["new"]}',
  });
});

it("passes on that the keys cannot be read", async () => {
  const answer = createJwksHandler({
    peek: () => undefined,
    get: () => Promise.reject(new Error("no database")),
  });
  await expect(answer(ask())).rejects.toThrow("no database");
});

import { expect, it } from "vitest";
import type { NodeRequest } from "../http/node-http.ts";
import { joinRepeatedCredentials } from "./repeated-credentials.ts";

function joined(rawHeaders: string[], first: string | undefined): string | undefined {
  const headers = first === undefined ? {} : { authorization: first };
  const request = { headers, rawHeaders } as unknown as NodeRequest;
  joinRepeatedCredentials(request);
  return request.headers.authorization;
}

it.each([
  ["one stays as it is", ["Host", "a", "Authorization", "Basic x"], "Basic x", "Basic x"],
  ["none stays absent", ["Host", "a", "X-Authorization", "Basic x"], undefined, undefined],
  ["two are joined", ["Authorization", "Basic x", "AUTHORIZATION", "Basic y"], "Basic x", "Basic x, Basic y"],
  [
    "an equal one counts",
    ["authorization", "Bearer x", "authorization", "Bearer x"],
    "Bearer x",
    "Bearer x, Bearer x",
  ],
  ["an empty one counts", ["authorization", "Bearer x", "authorization", ""], "Bearer x", "Bearer x, "],
])("%s", (_, rawHeaders, first, expected) => {
  expect(joined(rawHeaders, first)).toBe(expected);
});

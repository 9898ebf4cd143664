/** Talking to a server's frontdoors as its bootstrap service user. */
import { type BenchServer, clientId, clientSecret } from "./servers.ts";

/** Headers of a machine's calls: a fresh access token. */
export async function toMachineHeaders({ port }: BenchServer): Promise<Record<string, string>> {
  const form = { grant_type: "client_credentials", client_id: clientId, client_secret: clientSecret };
  const answer = await fetch(`http://127.0.0.1:${port}/oauth2/token`, {
    method: "POST",
    body: new URLSearchParams(form),
  });
  const { access_token: token } = (await answer.json()) as { access_token: string };
  return { authorization: `Bearer ${token}`, "content-type": "application/json" };
}

/** A call of the REST API. @throws Error for any other answer than 2xx */
export async function callRest<T>(
  { port }: BenchServer,
  method: string,
  path: string,
  headers: Readonly<Record<string, string>>,
  body?: object,
): Promise<T> {
  const answer = await fetch(`http://127.0.0.1:${port}${path}`, {
    method,
    headers,
    ...(body && { body: JSON.stringify(body) }),
  });
  if (!answer.ok) throw new Error(`${method} ${path} answered ${answer.status}: ${await answer.text()}`);
  return (await answer.json()) as T;
}

/** Makes an empty frontdoor and answers its id. */
export async function createFrontdoor(server: BenchServer): Promise<string> {
  const headers = await toMachineHeaders(server);
  const { id } = await callRest<{ id: string }>(server, "POST", "/frontdoor", headers, {
    organizationId: "default",
    name: "bench",
  });
  return id;
}

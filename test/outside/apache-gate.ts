/**
 * Apache's mod_auth_openidc and mod_oauth2, as Debian has them, judge the same
 * bearer JWTs as the gate: all three let in and refuse alike. How often each
 * answers a visitor it knows stands side by side, on one core, in turns.
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { SignJWT } from "jose";
import { compare } from "../../bench/parts/compare.ts";
import { startGate, toAsk } from "../../bench/parts/gate.ts";
import { LoadProcess, pinnedTo } from "../../bench/parts/processes.ts";
import { findFreePort } from "../../bench/parts/servers.ts";
import { type DebianFiles, unpackPackages } from "../parts/debian.ts";
import { MissingTool, type Part } from "../parts/part.ts";

const issuer = "https://issuer.example.com";
const audience = "https://app.example.com";
const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
const jwk = { ...publicKey.export({ format: "jwk" }), kid: "test", alg: "RS256", use: "sig" };

/** Where each module guards the same file. */
const guarded = { mod_oauth2: "/oauth2/ok", mod_auth_openidc: "/openidc/ok" } as const;

function makeToken(change: {
  readonly aud?: string;
  readonly exp?: string;
  readonly key?: typeof privateKey;
}) {
  const { aud = audience, exp = "1 h", key = privateKey } = change;
  return new SignJWT({ email: "ada@example.com", email_verified: true })
    .setProtectedHeader({ alg: "RS256", typ: "JWT", kid: "test" })
    .setIssuer(issuer)
    .setSubject("ada")
    .setAudience(aud)
    .setIssuedAt("2 h ago")
    .setExpirationTime(exp)
    .sign(key);
}

function writeConfig({ root }: DebianFiles, folder: string, port: number): string {
  chmodSync(folder, 0o755);
  mkdirSync(join(folder, "www"));
  writeFileSync(join(folder, "www/ok"), "ok");
  writeFileSync(join(folder, "public.pem"), publicKey.export({ type: "spki", format: "pem" }));
  const modules = join(root, "usr/lib/apache2/modules");
  const names = ["mpm_event", "authn_core", "authz_core", "authz_user", "alias", "auth_openidc", "oauth2"];
  const config = `
ServerRoot ${folder}
ServerName localhost
Listen 127.0.0.1:${port}
PidFile ${folder}/pid
ErrorLog ${folder}/errors
LogLevel crit
${names.map((name) => `LoadModule ${name}_module ${modules}/mod_${name}.so`).join("\n")}
${process.getuid?.() === 0 ? "User www-data\nGroup www-data" : ""}
StartServers 1
ServerLimit 1
ThreadsPerChild 64
MaxRequestWorkers 64
MaxKeepAliveRequests 0
DocumentRoot ${folder}/www
OIDCCryptoPassphrase unused
OIDCOAuthVerifyCertFiles test#${folder}/public.pem
OIDCOAuthRemoteUserClaim sub
Alias /openidc ${folder}/www
Alias /oauth2 ${folder}/www
<Location /openidc>
  AuthType oauth20
  Require claim aud:${audience}
</Location>
<Location /oauth2>
  AuthType oauth2
  OAuth2TokenVerify jwk "${JSON.stringify(jwk).replaceAll('"', '\\"')}"
  Require oauth2_claim aud:${audience}
</Location>
`;
  const file = join(folder, "apache.conf");
  writeFileSync(file, config);
  return file;
}

/** Starts Apache on the core that our server has as well. */
async function startApache(debian: DebianFiles, folder: string, port: number): Promise<ChildProcess> {
  const file = writeConfig(debian, folder, port);
  const command = [...pinnedTo(0), join(debian.root, "usr/sbin/apache2"), "-DFOREGROUND", "-f", file];
  const [program = "", ...args] = command;
  const child = spawn(program, args, { env: { ...process.env, ...debian.env }, stdio: "inherit" });
  for (let attempt = 0; attempt < 200 && child.exitCode === null; attempt += 1) {
    const isThere = await fetch(`http://127.0.0.1:${port}/`).then(
      () => true,
      () => false,
    );
    if (isThere) return child;
    await sleep(50);
  }
  child.kill();
  throw new Error("Apache does not answer");
}

async function getStatus(port: number, path: string, headers: Record<string, string>): Promise<number> {
  const answer = await fetch(`http://127.0.0.1:${port}${path}`, { headers });
  await answer.arrayBuffer();
  return answer.status;
}

/** How each of them does, and ours in multiples of theirs. */
async function measure(
  sides: Readonly<Record<string, { readonly port: number; readonly path: string; readonly headers: object }>>,
): Promise<string> {
  const load = new LoadProcess();
  try {
    for (const [name, { port, path, headers }] of Object.entries(sides)) {
      const plain = { port, path, method: "GET", headers: { ...headers }, body: "", connections: 32 };
      await load.prepare({ kind: "http1", name, load: plain });
    }
    const results = await compare(load, Object.keys(sides), { rounds: 5, warmUpSeconds: 1 });
    for (const { name, failures } of results) assert.equal(failures, 0, name);
    const [ours, ...theirs] = results;
    return theirs
      .map(({ name, perSecond }) => {
        const [a, b] = [ours?.perSecond ?? 0, perSecond].map((value) => (value / 1000).toFixed(1));
        return `${((ours?.perSecond ?? 0) / perSecond).toFixed(1)}× ${name} (${a} and ${b} k/s)`;
      })
      .join(", ");
  } finally {
    load.close();
  }
}

export default {
  needs: [],
  async run({ scratch, check }) {
    let debian: DebianFiles;
    try {
      const modules = ["libapache2-mod-auth-openidc", "libapache2-mod-oauth2"];
      debian = await unpackPackages("apache2", ["apache2-bin", ...modules]);
    } catch (error) {
      throw new MissingTool(`Apache and its modules from Debian: ${String(error).split("\n", 1)}`);
    }
    const port = await findFreePort();
    const claims = { iss: issuer, aud: audience };
    const gate = await startGate({}, { publicJwk: jwk, tokens: { jwk: {}, claims } });
    let apache: ChildProcess | undefined;
    try {
      apache = await startApache(debian, scratch, port);
      const other = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey;
      const good = await makeToken({});
      const tokens = {
        "a good token": [good, 200],
        "one that is over": [await makeToken({ exp: "1 h ago" }), 401],
        "one of another's key": [await makeToken({ key: other }), 401],
        "one for another audience": [await makeToken({ aud: "https://elsewhere.example.com" }), 401],
        "no token": ["", 401],
      } as const;
      const ask = (token: string) => toAsk(gate, "nginx", token === "" ? {} : toBearer(token));
      for (const [what, [token, status]] of Object.entries(tokens)) {
        await check(`${what}, at all three`, async () => {
          const { path, headers } = ask(token);
          assert.equal(await getStatus(gate.server.port, path, { ...headers }), status, "the gate");
          for (const [name, guardedPath] of Object.entries(guarded)) {
            assert.equal(await getStatus(port, guardedPath, toBearer(token)), status, name);
          }
        });
      }
      const theirs = Object.entries(guarded).map(([name, path]) => [
        name,
        { port, path, headers: toBearer(good) },
      ]);
      return await measure({ ours: { ...ask(good), port: gate.server.port }, ...Object.fromEntries(theirs) });
    } finally {
      apache?.kill();
      if (apache?.exitCode === null) await once(apache, "exit");
      await gate.server.stop();
    }
  },
} satisfies Part;

function toBearer(token: string): Record<string, string> {
  return token === "" ? {} : { Authorization: `Bearer ${token}` };
}

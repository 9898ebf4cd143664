/**
 * `oidc-provider` doing the same job: client_credentials with an ES256 JWT as
 * access token, for clients that are rows of an SQLite database, so that they
 * come and go while the server runs.
 */
import { generateKeyPairSync } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Sqlite from "better-sqlite3";
import Provider, { type Adapter, type AdapterPayload } from "oidc-provider";

const folder = mkdtempSync(join(tmpdir(), "vestibule-bench-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
process.on("SIGTERM", () => process.exit());
const database = new Sqlite(join(folder, "peer.db"));
database.pragma("journal_mode = wal");
database.exec("create table items (model text, id text, payload text, primary key (model, id)) strict");
const select = database.prepare("select payload from items where model = ? and id = ?").pluck();
const upsert = database.prepare("insert or replace into items values (?, ?, ?)");

/** What the job calls for: clients are found. The tokens are JWTs, which are not stored. */
class ItemAdapter implements Adapter {
  readonly #model: string;

  constructor(model: string) {
    this.#model = model;
  }

  async find(id: string): Promise<AdapterPayload | undefined> {
    const payload = select.get(this.#model, id) as string | undefined;
    return payload === undefined ? undefined : JSON.parse(payload);
  }

  async upsert(id: string, payload: AdapterPayload): Promise<void> {
    upsert.run(this.#model, id, JSON.stringify(payload));
  }

  async findByUserCode(): Promise<undefined> {}
  async findByUid(): Promise<undefined> {}
  async consume(): Promise<void> {}
  async destroy(): Promise<void> {}
  async revokeByGrantId(): Promise<void> {}
}

const clientId = process.env.BENCH_CLIENT_ID ?? "";
await new ItemAdapter("Client").upsert(clientId, {
  client_id: clientId,
  client_secret: process.env.BENCH_SECRET ?? "",
  grant_types: ["client_credentials"],
  redirect_uris: [],
  response_types: [],
  token_endpoint_auth_method: "client_secret_post",
  id_token_signed_response_alg: "ES256",
});

const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
const port = Number(process.env.BENCH_PORT);
const provider = new Provider(`http://127.0.0.1:${port}`, {
  adapter: ItemAdapter,
  jwks: { keys: [{ ...privateKey.export({ format: "jwk" }), alg: "ES256", use: "sig", kid: "peer" }] },
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => "https://api.example.org",
      getResourceServerInfo: () => ({
        scope: "",
        audience: "https://api.example.org",
        accessTokenFormat: "jwt",
        accessTokenTTL: 3600,
        jwt: { sign: { alg: "ES256" } },
      }),
    },
  },
});
provider.listen(port, "127.0.0.1", () => process.stdout.write("ready\n"));

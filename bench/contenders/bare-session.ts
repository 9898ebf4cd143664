/**
 * The bare limit for a session by cookie: a connect-node method that decrypts
 * one cookie, runs one prepared select and answers the same message.
 */
import { createCipheriv, createDecipheriv, hash, randomBytes, randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type ConnectRouter } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { AuthService } from "@vestibule/proto/vestibule/v1/auth_service_pb";
import Sqlite from "better-sqlite3";

interface Row {
  readonly id: string;
  readonly name: string;
  readonly email: string;
  readonly state: string;
  readonly created_at: number;
  readonly updated_at: number;
}

const key = randomBytes(32);
const nonceBytes = 12;
const tagBytes = 16;

const database = new Sqlite(":memory:");
database.exec(`
  create table users (
    id text primary key, name text, email text, state text, created_at integer, updated_at integer);
  create table sessions (
    secret_hash text primary key, user_id text not null references users, expires_at integer not null);
`);
const select = database.prepare<[string, number], Row>(`
  select users.* from sessions join users on users.id = sessions.user_id
  where secret_hash = ? and expires_at > ?`);

function toCookie(secret: Buffer): string {
  const nonce = randomBytes(nonceBytes);
  const cipher = createCipheriv("aes-256-gcm", key, nonce);
  const ciphertext = Buffer.concat([cipher.update(secret), cipher.final()]);
  return Buffer.concat([nonce, ciphertext, cipher.getAuthTag()]).toString("base64url");
}

function readCookie(header: string | null): Buffer {
  const value = /(?:^|; )sid=([^;]+)/.exec(header ?? "")?.[1] ?? "";
  const sealed = Buffer.from(value, "base64url");
  const decipher = createDecipheriv("aes-256-gcm", key, sealed.subarray(0, nonceBytes));
  decipher.setAuthTag(sealed.subarray(-tagBytes));
  return Buffer.concat([decipher.update(sealed.subarray(nonceBytes, -tagBytes)), decipher.final()]);
}

function signIn(): string {
  const secret = randomBytes(32);
  const [userId, now] = [randomUUID(), Date.now()];
  database
    .prepare("insert into users values (?, 'ada-0123456789', 'ada@example.org', 'enabled', ?, ?)")
    .run(userId, now, now);
  const secretHash = hash("sha256", secret, "base64url");
  database.prepare("insert into sessions values (?, ?, ?)").run(secretHash, userId, now + 3_600_000);
  return toCookie(secret);
}

function routes(router: ConnectRouter): void {
  router.service(AuthService, {
    authCallback(_request, context) {
      context.responseHeader.set("set-cookie", `sid=${signIn()}; Path=/; HttpOnly; SameSite=Lax`);
      return {};
    },
    getCurrentUser(_request, context) {
      const secretHash = hash("sha256", readCookie(context.requestHeader.get("cookie")), "base64url");
      const row = select.get(secretHash, Date.now());
      if (row === undefined) throw new ConnectError("not authenticated", Code.Unauthenticated);
      const { id, name, email, state } = row;
      const [createdAt, updatedAt] = [timestampFromMs(row.created_at), timestampFromMs(row.updated_at)];
      return { user: { id, name, email, state, createdAt, updatedAt } };
    },
  });
}

createServer(connectNodeAdapter({ routes })).listen(Number(process.env.BENCH_PORT), "127.0.0.1", () => {
  process.stdout.write("ready\n");
});

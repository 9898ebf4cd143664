/** By the modes of libpq, against a real Postgres with TLS and one without. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { rootCertificates } from "node:tls";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { tlsCertificate, tlsKey } from "../../../test/parts/http.ts";
import { createTestDatabase, type TestDatabase } from "../../../test/parts/postgres.ts";
import { type PostgresServer, startPostgres } from "../../../test/parts/postgres-server.ts";
import { silentLog } from "../lib/log.ts";
import { openDatabase } from "./open-database.ts";
import { readPostgresTls } from "./postgres-tls.ts";

let folder: string;
let secure: PostgresServer;
let strict: PostgresServer;
let plain: TestDatabase;
let files: Record<"own" | "other" | "cert" | "key", string>;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "vestibule-postgres-tls-"));
  const write = (name: string, text: string | Buffer) => {
    writeFileSync(join(folder, name), text, { mode: 0o600 });
    return join(folder, name);
  };
  files = {
    own: write("own.crt", tlsCertificate),
    other: write("other.crt", rootCertificates[0] ?? ""),
    cert: write("client.crt", tlsCertificate),
    key: write("client.key", tlsKey),
  };
  const tls = { cert: tlsCertificate, key: tlsKey };
  secure = await startPostgres({ tls });
  strict = await startPostgres({ tls, needsClientCert: true });
  plain = await createTestDatabase();
}, 120_000);
afterAll(async () => {
  await Promise.all([secure?.stop(), strict?.stop(), plain?.drop()]);
  rmSync(folder, { recursive: true, force: true });
});

function withParameters(url: string, parameters: Record<string, string>, host?: string): string {
  const changed = new URL(url);
  for (const [name, value] of Object.entries(parameters)) changed.searchParams.set(name, value);
  if (host !== undefined) changed.hostname = host;
  return changed.href;
}

/** Whether a connection that was opened is by TLS; else what kept it from being opened. */
async function open(url: string): Promise<boolean | string> {
  try {
    await using database = await openDatabase({ url, log: silentLog }).then((opened) =>
      Object.assign(opened, { [Symbol.asyncDispose]: () => opened.close() }),
    );
    const query = sql<{ ssl: boolean }>`select ssl from pg_stat_ssl where pid = pg_backend_pid()`;
    return (await query.execute(database.reader)).rows[0]?.ssl ?? "unknown";
  } catch (error) {
    const { detail, message } = error as Error & { detail?: string };
    return detail ?? message;
  }
}

describe("a server with TLS", () => {
  it.each([
    ["", {}, false],
    ["disable", { sslmode: "disable" }, false],
    ["prefer", { sslmode: "prefer" }, true],
    ["require", { sslmode: "require" }, true],
  ])("by %s, without a look at its certificate", async (_, parameters, isSecure) => {
    expect(await open(withParameters(secure.url, parameters))).toBe(isSecure);
  });

  it.each(["require", "verify-ca", "verify-full"])("by %s and its own root", async (sslmode) => {
    expect(await open(withParameters(secure.url, { sslmode, sslrootcert: files.own }))).toBe(true);
  });

  it.each(["require", "verify-ca", "verify-full"])("not by %s and another's root", async (sslmode) => {
    const answer = await open(withParameters(secure.url, { sslmode, sslrootcert: files.other }));
    expect(answer).toMatch(/certificate|SELF_SIGNED/i);
  });

  it("not by verify-full and the roots of the system, nor with a root and no mode", async () => {
    for (const parameters of [
      { sslmode: "verify-full" },
      { sslmode: "verify-full", sslrootcert: "system" },
      { sslrootcert: files.other },
    ]) {
      expect(await open(withParameters(secure.url, parameters))).toMatch(/certificate|SELF_SIGNED/i);
    }
  });

  it("under a name that is not the certificate's by verify-ca, and not by verify-full", () => {
    const check = (sslmode: string, host: string) => {
      const { ssl } = readPostgresTls(withParameters(secure.url, { sslmode, sslrootcert: files.own }, host));
      const certificate = { subjectaltname: "DNS:localhost, IP Address:127.0.0.1" } as never;
      return ssl === false ? "clear text" : ssl.checkServerIdentity?.("localhost", certificate);
    };
    expect(check("verify-ca", "10.0.0.1")).toBeUndefined();
    expect(check("verify-full", "127.0.0.1")).toBeUndefined();
    expect(check("verify-full", "10.0.0.1")).toMatchObject({ code: "ERR_TLS_CERT_ALTNAME_INVALID" });
    expect(check("verify-full", "db.example")).toMatchObject({ code: "ERR_TLS_CERT_ALTNAME_INVALID" });
  });

  it("that asks for a certificate is shown one", async () => {
    const asked = { sslmode: "verify-full", sslrootcert: files.own };
    const shown = { ...asked, sslcert: files.cert, sslkey: files.key };
    expect(await open(withParameters(strict.url, shown))).toBe(true);
    expect(await open(withParameters(strict.url, asked))).not.toBe(true);
  });
});

describe("a server without TLS", () => {
  it("is taken in clear text by prefer, and by nothing above", async () => {
    expect(await open(withParameters(plain.url, { sslmode: "prefer" }))).toBe(false);
    expect(await open(withParameters(plain.url, { sslmode: "require" }))).toMatch(/SSL/);
  });
});

it.each([
  [{ sslmode: "allow" }, "sslmode must be one of disable, prefer, require, verify-ca, verify-full"],
  [{ sslmode: "REQUIRE" }, "sslmode must be one of"],
  [{ sslmode: "verify-ca" }, "sslmode=verify-ca needs sslrootcert"],
  [{ sslmode: "require", sslrootcert: "system" }, "sslrootcert=system needs sslmode=verify-full"],
  [{ sslmode: "require", sslcert: "/nowhere" }, "sslcert and sslkey come together"],
  [{ sslmode: "require", sslrootcert: "/nowhere" }, "sslrootcert cannot be read, got ENOENT"],
])("%j is refused in one line", async (parameters, problem) => {
  expect(await open(withParameters(plain.url, parameters))).toContain(problem);
});

it("nothing is written on the terminal by the driver", async () => {
  const warned = vi.spyOn(process, "emitWarning");
  for (const sslmode of ["prefer", "require"]) await open(withParameters(secure.url, { sslmode }));
  expect(warned).not.toHaveBeenCalled();
});

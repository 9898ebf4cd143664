/**
 * Runs once around a test run. Postgres is started when the first test file
 * asks for it, not before: a run of unit tests does not wait for it. The
 * workers ask over a socket whose path they are given.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { type PostgresServer, startPostgres } from "./postgres-server.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** Socket that answers with `{url}` or `{error}` as JSON. */
    postgresSocket: string;
  }
}

export default function setup(project: TestProject): () => Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "vestibule-tests-"));
  const path = join(folder, "postgres.sock");
  let started: Promise<PostgresServer> | undefined;
  const outside = process.env.POSTGRES_URL;

  const answer = async (): Promise<object> => {
    if (outside) return { url: outside };
    started ??= startPostgres();
    return started.then(
      ({ url }) => ({ url }),
      (error: unknown) => ({ error: String(error) }),
    );
  };
  const server = createServer((socket) => {
    socket.on("error", () => {});
    void answer().then((reply) => socket.end(JSON.stringify(reply)));
  }).listen(path);
  project.provide("postgresSocket", path);

  return async () => {
    server.close();
    const postgres = await started?.catch(() => undefined);
    await postgres?.stop();
    rmSync(folder, { recursive: true, force: true });
  };
}

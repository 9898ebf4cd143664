/**
 * The real grpcurl: it makes the calls that README and docs show, and sees every
 * service by reflection. Since 1.8.8 it asks by v1; 1.8.7 knows v1alpha alone.
 */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import type { DescService } from "@bufbuild/protobuf";
import { listPages, readBlocks, runShell } from "../parts/documentation.ts";
import type { Part, PartContext } from "../parts/part.ts";
import { runProgram } from "../parts/program.ts";
import { startServer } from "../parts/server.ts";
import { installGoTool } from "../parts/toolchains.ts";

const root = join(import.meta.dirname, "../..");
const versions = { v1: "v1.9.4", v1alpha: "v1.8.7" };
const install = (version: string) => installGoTool(`github.com/fullstorydev/grpcurl/cmd/grpcurl@${version}`);

/** Every service of our schemas, out of the generated code. */
async function readServices(): Promise<DescService[]> {
  const folder = join(root, "gen/src/vestibule/v1");
  const files = readdirSync(folder).filter((name) => name.endsWith("_service_pb.js"));
  const modules = await Promise.all(files.map((name) => import(join(folder, name))));
  return modules.flatMap((exports) =>
    Object.values(exports as Record<string, DescService>).filter(({ kind }) => kind === "service"),
  );
}

async function runDocumented(context: PartContext, grpcurl: string): Promise<void> {
  const pages = ["README.md", ...listPages()];
  const blocks = pages.flatMap((page) =>
    readBlocks(page)
      .filter((block) => /\bgrpcurl\b/.test(block))
      .map((block) => ({ page, block })),
  );
  assert.notEqual(blocks.length, 0, "no page shows a grpcurl command");
  await using server = await startServer();
  const PATH = [dirname(grpcurl), process.env.PATH].join(delimiter);
  for (const { page, block } of blocks) {
    await context.check(`${page}: ${block.split("\n")[0]}`, async () => {
      const variables = { PATH, F: "", PROXY_TOKEN: "", KEY: "" };
      assert.notEqual(await runShell(block, server, variables), "", "it printed nothing");
    });
  }
}

async function describeEverything(context: PartContext, version: string, grpcurl: string): Promise<void> {
  await using server = await startServer();
  const ask = async (...words: string[]): Promise<string[]> => {
    const args = ["-plaintext", `localhost:${server.port}`, ...words];
    const { code, stdout, stderr } = await runProgram(grpcurl, args, { signal: context.signal });
    assert.equal(code, 0, stderr);
    return stdout.trim().split("\n");
  };
  const check = (name: string, run: () => Promise<void>) =>
    context.check(`reflection ${version}: ${name}`, run);
  const services = await readServices();
  const listed = await ask("list");
  await check("list", async () => {
    const expected = services.map(({ typeName }) => typeName);
    assert.deepEqual(
      expected.filter((name) => !listed.includes(name)),
      [],
      "not listed",
    );
  });
  for (const { typeName, methods } of services) {
    await check(`list ${typeName}`, async () => {
      const names = methods.map(({ name }) => `${typeName}.${name}`);
      assert.deepEqual(await ask("list", typeName), names.sort());
    });
  }
  // Those of others among them: Frontier's alias, health, reflection itself.
  await forEach(listed, (typeName) =>
    check(`describe ${typeName}`, async () => {
      assert.equal((await ask("describe", typeName))[0], `${typeName} is a service:`);
    }),
  );
  // Both versions answer from the same descriptors.
  if (context.quick && version === "v1alpha") return;
  const methods = (await Promise.all(listed.map((typeName) => ask("list", typeName)))).flat();
  const messages = new Set<string>();
  await forEach(methods, (method) =>
    check(`describe ${method}`, async () => {
      const [head, text = ""] = await ask("describe", method);
      assert.equal(head, `${method} is a method:`);
      const named = [...text.matchAll(/\( (?:stream )?\.([\w.]+) \)/g)].map(([, name = ""]) => name);
      assert.equal(named.length, 2, text);
      for (const name of named) messages.add(name);
    }),
  );
  await forEach([...messages], (message) =>
    check(`describe ${message}`, async () => {
      assert.equal((await ask("describe", message))[0], `${message} is a message:`);
    }),
  );
}

/** A few at a time: each is a process. */
async function forEach<T>(items: readonly T[], visit: (item: T) => Promise<void>): Promise<void> {
  const rest = items.values();
  await Promise.all(
    Array.from({ length: 4 }, async () => {
      for (const item of rest) await visit(item);
    }),
  );
}

export default {
  needs: ["go"],
  async run(context) {
    const current = await install(versions.v1);
    await runDocumented(context, current);
    await describeEverything(context, "v1", current);
    await describeEverything(context, "v1alpha", await install(versions.v1alpha));
    return undefined;
  },
} satisfies Part;

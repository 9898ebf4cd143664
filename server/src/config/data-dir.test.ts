import { execFile } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Config } from "./config.ts";
import { ConfigError } from "./config-error.ts";
import { listOpenToGroup, prepareDataDir, resolveSecrets } from "./data-dir.ts";
import { load } from "./test-support.ts";

const keyFiles = ["encryption.key", "session-block.key", "session-hash.key"];
const key32 = "k".repeat(32);

let folder: string;
let dataDir: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "vestibule-config-"));
  dataDir = join(folder, "deep/data");
});

afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

function configure(yaml = ""): Config {
  return load({ yaml, env: { VESTIBULE_DATA_DIR: dataDir } });
}

function modeOf(path: string): number {
  return statSync(path).mode & 0o777;
}

function problemsOf(work: () => unknown): readonly string[] {
  try {
    work();
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
}

describe("prepareDataDir", () => {
  test("makes a folder for this process alone, and takes it again", () => {
    prepareDataDir(dataDir);
    prepareDataDir(dataDir);
    expect(modeOf(dataDir)).toBe(0o700);
  });

  test.each([0o2770, 0o750, 0o710])("takes a folder of mode %o, and warns of it", (mode) => {
    prepareDataDir(dataDir);
    expect(listOpenToGroup({ dataDir })).toEqual([]);
    chmodSync(dataDir, mode);
    prepareDataDir(dataDir);
    expect(listOpenToGroup({ dataDir })).toEqual([dataDir]);
  });

  test.each([0o755, 0o711, 0o701, 0o702])(
    "refuses a folder of mode %o with the command to run, and leaves it so",
    (mode) => {
      mkdirSync(dataDir, { recursive: true });
      chmodSync(dataDir, mode);
      expect(problemsOf(() => prepareDataDir(dataDir))).toEqual([
        `${dataDir}: is open to others (mode ${mode.toString(8)}); run: chmod 700 ${dataDir}`,
      ]);
      expect(modeOf(dataDir)).toBe(mode);
    },
  );

  test("refuses a file in the folder's place", () => {
    writeFileSync(join(folder, "deep"), "");
    expect(problemsOf(() => prepareDataDir(dataDir))).toEqual([
      expect.stringMatching(/^data_dir \(or VESTIBULE_DATA_DIR\): must be a folder .*ENOTDIR/),
    ]);
  });
});

describe("resolveSecrets", () => {
  beforeEach(() => prepareDataDir(dataDir));

  test("makes the keys at the first start and finds the same at the next", () => {
    const first = resolveSecrets(configure(), { mayGenerate: true });
    expect(first.encryptionKeys.map((key) => key.length)).toEqual([32]);
    expect(first.sessionHashKey).toMatch(/^[\w-]{32}$/);
    expect(first.sessionBlockKey).toMatch(/^[\w-]{32}$/);
    expect(first.sessionBlockKey).not.toBe(first.sessionHashKey);
    expect(readdirSync(dataDir).toSorted()).toEqual(keyFiles);
    for (const file of keyFiles) expect(modeOf(join(dataDir, file))).toBe(0o600);
    expect(resolveSecrets(configure(), { mayGenerate: false })).toEqual(first);
  });

  test("what the files hold is what the settings take", () => {
    const made = resolveSecrets(configure(), { mayGenerate: true });
    const [encryption, block, hash] = keyFiles.map((file) =>
      readFileSync(join(dataDir, file), "utf8").trim(),
    );
    const yaml = `
encryption_key: "${encryption}"
authentication: { session: { hash_secret_key: "${hash}", block_secret_key: "${block}" } }
`;
    rmSync(dataDir, { recursive: true });
    expect(resolveSecrets(configure(yaml), { mayGenerate: false })).toEqual(made);
    expect(existsSync(dataDir)).toBe(false);
  });

  test("a configured key goes before its file, and previous keys come along", () => {
    resolveSecrets(configure(), { mayGenerate: true });
    const session = `{ hash_secret_key: ${key32}, previous_hash_secret_keys: [${"p".repeat(32)}] }`;
    const secrets = resolveSecrets(configure(`authentication: { session: ${session} }`), {
      mayGenerate: false,
    });
    expect(secrets.sessionHashKey).toBe(key32);
    expect(secrets.previousSessionHashKeys).toEqual(["p".repeat(32)]);
    expect(secrets.previousSessionBlockKeys).toEqual([]);
  });

  test("over an existing database nothing is made: each missing file is named", () => {
    resolveSecrets(configure(), { mayGenerate: true });
    rmSync(join(dataDir, "encryption.key"));
    rmSync(join(dataDir, "session-hash.key"));
    expect(problemsOf(() => resolveSecrets(configure(), { mayGenerate: false }))).toEqual([
      expect.stringContaining(`${join(dataDir, "encryption.key")}: is missing`),
      expect.stringContaining(`${join(dataDir, "session-hash.key")}: is missing`),
    ]);
    expect(readdirSync(dataDir)).toEqual(["session-block.key"]);
  });

  test.each([
    ["encryption.key", ""],
    ["encryption.key", "A".repeat(42)],
    ["encryption.key", "A".repeat(44)],
    ["session-hash.key", "h".repeat(31)],
    ["session-hash.key", "h".repeat(33)],
  ])("an unfit %s is refused and never replaced: %j", (file, text) => {
    writeFileSync(join(dataDir, file), text, { mode: 0o600 });
    const problems = problemsOf(() => resolveSecrets(configure(), { mayGenerate: true }));
    expect(problems).toEqual([expect.stringContaining(`${join(dataDir, file)}: must be`)]);
    if (text !== "") expect(problems.join()).not.toContain(text);
    expect(readFileSync(join(dataDir, file), "utf8")).toBe(text);
    expect(readdirSync(dataDir)).toEqual([file]);
  });

  test.each([0o604, 0o602, 0o664])("a key file of mode %o is refused with the command to run", (mode) => {
    resolveSecrets(configure(), { mayGenerate: true });
    const path = join(dataDir, "session-hash.key");
    chmodSync(path, mode);
    expect(problemsOf(() => resolveSecrets(configure(), { mayGenerate: true }))).toEqual([
      `${path}: is open to others (mode ${mode.toString(8)}); run: chmod 600 ${path}`,
    ]);
    expect(modeOf(path)).toBe(mode);
  });

  test.each([0o600, 0o400, 0o640, 0o660])("a key file of mode %o is taken", (mode) => {
    resolveSecrets(configure(), { mayGenerate: true });
    const path = join(dataDir, "session-hash.key");
    chmodSync(path, mode);
    expect(listOpenToGroup({ dataDir })).toEqual((mode & 0o070) === 0 ? [] : [path]);
    expect(problemsOf(() => resolveSecrets(configure(), { mayGenerate: false }))).toEqual([]);
  });

  test("a folder in a key file's place is refused", () => {
    mkdirSync(join(dataDir, "encryption.key"), { mode: 0o700 });
    expect(problemsOf(() => resolveSecrets(configure(), { mayGenerate: true }))).toEqual([
      expect.stringContaining("must be a file that holds a key"),
    ]);
  });

  test("an encryption key file may hold several keys, the first encrypts", () => {
    const [newer, older] = [Buffer.alloc(32, 2), Buffer.alloc(32, 1)];
    writeFileSync(
      join(dataDir, "encryption.key"),
      `${newer.toString("base64url")}, ${older.toString("base64url")}\n`,
      { mode: 0o600 },
    );
    expect(resolveSecrets(configure(), { mayGenerate: true }).encryptionKeys).toEqual([newer, older]);
  });

  test("with Postgres no file is read or made", () => {
    const yaml = `
database_url: postgres://db/vestibule
encryption_key: ${Buffer.alloc(32).toString("base64url")}
authentication: { session: { hash_secret_key: ${key32}, block_secret_key: ${key32} } }
`;
    const config = configure(yaml);
    expect(resolveSecrets(config, { mayGenerate: true }).sessionBlockKey).toBe(key32);
    const bare: Config = { ...config, encryptionKeys: [] };
    expect(problemsOf(() => resolveSecrets(bare, { mayGenerate: true }))).toEqual([
      expect.stringMatching(/^encryption_key: must be given/),
    ]);
    expect(readdirSync(dataDir)).toEqual([]);
  });

  test("processes that start together end with the same keys", async () => {
    const script = `
      const { resolveSecrets } = await import(${JSON.stringify(join(import.meta.dirname, "data-dir.ts"))});
      const { loadConfig } = await import(${JSON.stringify(join(import.meta.dirname, "load-config.ts"))});
      const config = loadConfig({ cwd: ${JSON.stringify(folder)}, env: { VESTIBULE_DATA_DIR: ${JSON.stringify(dataDir)} } });
      console.log(JSON.stringify(resolveSecrets(config, { mayGenerate: true })));
    `;
    const run = () => promisify(execFile)(process.execPath, ["--input-type=module", "-e", script]);
    const answers = await Promise.all(Array.from({ length: 4 }, run));
    expect(new Set(answers.map(({ stdout }) => stdout)).size).toBe(1);
    expect(readdirSync(dataDir).toSorted()).toEqual(keyFiles);
  });
});

/**
 * Schemathesis, which makes up requests out of `/openapi.json`, good and bad
 * ones, and holds every answer against that document.
 */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { basic, send } from "./http.ts";
import type { PartContext } from "./part.ts";
import { runProgram } from "./program.ts";
import { startServer, type TestServer } from "./server.ts";
import { installPython } from "./toolchains.ts";

const requirements = join(import.meta.dirname, "../outside/schemathesis/requirements.txt");

/** What to make up. */
export interface Fuzzing {
  /** How many requests at least. */
  readonly cases: number;
  /** How many for each operation in the random phases; together with the systematic ones they come to `cases`. */
  readonly perOperation: number;
  /** The same seed makes the same requests; a new one is chosen, and printed, if absent. */
  readonly seed?: number;
}

/**
 * Judges a server of its own, with things in it that the made-up requests can
 * find. Fails for every way in which an answer is not as described, with a
 * request that shows it. Resolves with figures for the summary.
 */
export async function judgeRest(context: PartContext, fuzzing: Fuzzing): Promise<string> {
  const python = await installPython(requirements);
  await using server = await startServer({
    env: { NODE_OPTIONS: `--import=${pathToFileURL(join(import.meta.dirname, "offline.ts")).href}` },
    // Requests without or with bad credentials are among those made up.
    config: {
      limits: {
        failed_credentials_per_client_per_minute: 1_000_000,
        failed_credentials_per_address_per_minute: 1_000_000,
      },
    },
  });
  const config = join(context.scratch, "schemathesis.toml");
  const report = join(context.scratch, "report.json");
  writeFileSync(config, toConfig(await seedServer(server)));
  const ran = await runProgram(
    python,
    [
      ...["-m", "schemathesis.cli", `--config-file=${config}`, "run", `${server.url}/openapi.json`],
      ...["--auth", `${server.clientId}:${server.clientSecret}`],
      ...["--checks=all", `--exclude-checks=${notJudged.join(",")}`],
      ...[`--max-examples=${fuzzing.perOperation}`, "--continue-on-failure", "--no-color"],
      ...["--generation-database=none", "--report=json", `--report-json-path=${report}`],
      ...(fuzzing.seed === undefined ? [] : [`--seed=${fuzzing.seed}`]),
    ],
    { cwd: context.scratch, signal: context.signal },
  );
  const { seed, test_cases, errors } = readReport(report, ran.stdout + ran.stderr);
  const failures = [...ran.stdout.matchAll(/^_{3,} (.*?) _{3,}$\n(.*?)(?=^[_=]{3,})/gms)].map(
    ([, operation, text]) => `${operation}\n${text?.trim()}`,
  );
  context.count(test_cases.generated - test_cases.with_failures, failures);
  await context.check("it ran to its end", () => {
    assert.deepEqual(errors, []);
    assert.equal(ran.code, failures.length > 0 ? 1 : 0, ran.stdout + ran.stderr);
    assert.ok(
      test_cases.generated >= fuzzing.cases,
      `${test_cases.generated} requests, not ${fuzzing.cases}`,
    );
  });
  await context.check("the server serves as before", async () => {
    assert.equal((await send(`${server.url}/healthz`)).status, 200);
    assert.equal(server.stderr(), "");
  });
  return `seed ${seed}`;
}

/**
 * What a document cannot say: whether a request that has the right shape is also
 * one that may be made now. Tags, page tokens, names that are taken and rules
 * over several fields are refused by documented answers.
 */
const notJudged = ["positive_data_acceptance"];

interface Report {
  readonly seed: number;
  readonly test_cases: { readonly generated: number; readonly with_failures: number };
  readonly errors: readonly unknown[];
}

function readReport(path: string, printed: string): Report {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as Report;
  } catch {
    throw new Error(`no report:\n${printed}`);
  }
}

/** What the parameters of some operations' paths may be. */
interface Known {
  readonly path: RegExp;
  readonly methods: readonly string[];
  readonly values: Readonly<Record<string, readonly string[]>>;
}

/** Makes one of each thing that paths name, and several of those that are deleted on the way. */
async function seedServer(server: TestServer): Promise<Known[]> {
  const post = async (path: string, body: object) => {
    const headers = { ...basic(server), "Content-Type": "application/json" };
    const answer = await send(`${server.url}${path}`, { headers, body: JSON.stringify(body) });
    assert.ok(answer.status === 200 || answer.status === 201, `${path}: ${answer.text}`);
    return answer.json;
  };
  const make = async (path: string, bodies: readonly object[]): Promise<string[]> => {
    const made: string[] = [];
    for (const body of bodies) made.push((await post(path, body)).id);
    return made;
  };
  const ten = Array.from({ length: 10 }, (_, index) => `made-${index}`);
  const toProvider = (name: string) => ({
    name,
    type: "OIDC",
    data: { issuer: "https://issuer.example", clientId: "vestibule", audiences: ["api"] },
  });

  const [frontdoor = "", ...frontdoors] = await make(
    "/frontdoor",
    ["kept", ...ten].map((name) => ({ organizationId: "default", name })),
  );
  const inside = `/frontdoor/${frontdoor}`;
  const [kept = "", ...providers] = await make(`${inside}/auth-providers`, ["kept", ...ten].map(toProvider));
  const [keyProvider = ""] = await make(`${inside}/auth-providers`, [
    { name: "keys", type: "API_KEY", data: {} },
  ]);
  const keys = await make(
    `${inside}/auth-providers/${keyProvider}/api-keys`,
    ten.map((title) => ({ title })),
  );
  const frontends = await make(
    `${inside}/custom-frontends`,
    ten.map((name) => ({ hostname: `${name}.example` })),
  );
  const proxyTokens = await make(`${inside}/proxy-tokens`, [{ title: "one" }, { title: "two" }]);
  const service = "/vestibule.v1.ServiceUserService";
  const { serviceuser } = await post(`${service}/CreateServiceUser`, {
    org_id: "default",
    body: { title: "CI" },
  });
  const { key } = await post(`${service}/CreateServiceUserJWK`, {
    id: serviceuser.id,
    org_id: "default",
    title: "CI",
  });

  const all = ["GET", "POST", "PATCH", "PUT", "DELETE"];
  const kinds = ["OIDC", "GOOGLE", "GITHUB", "API_KEY", "JWT", "VESTIBULE"];
  const provider = /auth-providers\/\{id\}(?!\/api-keys)/;
  return [
    { path: /frontdoor_id/, methods: all, values: { frontdoor_id: [frontdoor] } },
    { path: /frontdoor\/\{id\}/, methods: ["GET"], values: { id: [frontdoor] } },
    { path: /frontdoor\/\{id\}/, methods: ["DELETE"], values: { id: frontdoors } },
    { path: /custom-frontends\/\{id\}/, methods: all, values: { id: frontends } },
    { path: /proxy-tokens\/\{id\}/, methods: all, values: { id: proxyTokens } },
    { path: provider, methods: ["GET", "POST", "PATCH", "PUT"], values: { id: [kept, keyProvider] } },
    { path: provider, methods: ["DELETE"], values: { id: providers } },
    { path: /\{id\}\/api-keys/, methods: all, values: { id: [keyProvider] } },
    { path: /\{id\}\/api-keys\/\{key_id\}/, methods: all, values: { key_id: keys } },
    { path: /auth-provider-types\/\{type\}/, methods: all, values: { type: kinds } },
    { path: /serviceusers/, methods: all, values: { id: [serviceuser.id], key_id: [key.kid] } },
  ];
}

/** Most requests name something that is there; some still do not. */
function toConfig(known: readonly Known[]): string {
  const dictionaries: string[] = [];
  const operations = known.map(({ path, methods, values }, index) => {
    const parameters = Object.entries(values).map(([name, entries]) => {
      dictionaries.push(`${name}_${index} = { values = ${JSON.stringify(entries)} }`);
      return `"path.${name}" = { dictionary = "${name}_${index}", probability = 0.9 }`;
    });
    const chosen = `include-path-regex = '${path.source}'\ninclude-method = ${JSON.stringify(methods)}`;
    return `[[operations]]\n${chosen}\nparameters = { ${parameters.join(", ")} }\n`;
  });
  return ["[dictionaries]", ...dictionaries, ...operations].join("\n");
}

import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["server/src/**/*.test.ts", "clients/*/test/**/*.test.ts", "test/**/*.test.ts"],
    exclude: ["**/node_modules/**", "**/dist/**", "bench/**"],
    // Embedded Postgres first, once per run: each test file takes a database of its own.
    globalSetup: ["test/parts/global-setup.ts"],
    reporters: ["./test/parts/reporter.ts"],
    // Processes, not threads: tests start servers, browsers and native modules, and read signals.
    pool: "forks",
    maxWorkers: 2,
    // For what hangs. Some tests start a dozen processes, and a busy machine takes five times as long for that.
    testTimeout: 60_000,
    hookTimeout: 120_000,
    // What a test looks for again and again may take a busy machine longer than the second that is the default.
    expect: { poll: { timeout: 10_000 } },
    teardownTimeout: 20_000,
    // A lonely `.only` would make a green run out of one test.
    allowOnly: false,
    passWithNoTests: false,
    dangerouslyIgnoreUnhandledErrors: false,
    // Frontier's published client is TypeScript, which Node does not strip inside node_modules.
    server: { deps: { inline: [/@raystack\/proton/] } },
    restoreMocks: true,
    unstubEnvs: true,
  },
});

/**
 * Settings that cannot be used. Lists everything that is wrong, so that an
 * operator repairs it in one go; names keys, never values.
 */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  /** One line each: `key.path: what was expected`. */
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(["The configuration cannot be used:", ...problems.map((problem) => `  ${problem}`)].join("\n"));
    this.problems = problems;
  }
}

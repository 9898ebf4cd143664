import { ConfigError } from "./config-error.ts";
import { findVariableOf } from "./schema.ts";

/** Collects what is wrong, so that all of it is told at once. */
export interface Problems {
  /** Something is wrong with the value of a key, or with its absence. */
  refuse(path: string, message: string): void;
  /** Something is wrong that no key stands for. */
  add(line: string): void;
  /** Whether the value of the key, a part of it or what it is part of has been refused: no more is said of it. */
  isRefused(path: string): boolean;
  /** @throws ConfigError if anything was wrong. */
  throwIfAny(): void;
}

/** @param isFromEnvironment whether the value of a key was given by its variable. */
export function createProblems(isFromEnvironment: (path: string) => boolean): Problems {
  const lines: string[] = [];
  const refused: string[] = [];
  const toLabel = (path: string): string => {
    const key = path.replace(/\[\d+\]$/, "");
    const variable = findVariableOf(key);
    return variable !== undefined && isFromEnvironment(key) ? `${variable} (${path})` : path;
  };
  return {
    refuse: (path, message) => {
      lines.push(`${toLabel(path)}: ${message}`);
      refused.push(path);
    },
    add: (line) => {
      lines.push(line);
    },
    isRefused: (path) => refused.some((known) => isAtOrBelow(known, path) || isAtOrBelow(path, known)),
    throwIfAny: () => {
      if (lines.length > 0) throw new ConfigError(lines);
    },
  };
}

function isAtOrBelow(path: string, ancestor: string): boolean {
  return path === ancestor || path.startsWith(`${ancestor}.`) || path.startsWith(`${ancestor}[`);
}

/** A key, with the variable that could give it instead. */
export function toEitherName(path: string): string {
  const variable = findVariableOf(path);
  return variable === undefined ? path : `${path} (or ${variable})`;
}

/** A name from outside, fit to stand in a message. */
export function toShown(name: string): string {
  return /^[\w.-]{1,80}$/.test(name) ? name : JSON.stringify(name.slice(0, 80));
}

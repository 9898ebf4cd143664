/** Tables of results, for the terminal and for `bench/README.md`. */
import { readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { isPinned } from "./processes.ts";

/** One table. */
export interface Section {
  readonly title: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
  readonly note: string;
}

/** A section as Markdown, its columns aligned. */
export function toMarkdown(section: Section): string {
  const widths = section.columns.map((column, index) =>
    Math.max(column.length, ...section.rows.map((row) => row[index]?.length ?? 0)),
  );
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, index) => cell.padEnd(widths[index] ?? 0)).join(" | ")} |`;
  const rule = `|${widths.map((width) => "-".repeat(width + 2)).join("|")}|`;
  return [
    `### ${section.title}`,
    "",
    line(section.columns),
    rule,
    ...section.rows.map(line),
    "",
    section.note,
    "",
  ].join("\n");
}

const begin = "<!-- last run: begin -->";
const end = "<!-- last run: end -->";

/** Puts the results of a run between the marks in `bench/README.md`; those of other benchmarks stay as they are. */
export function saveReport(file: string, sections: readonly Section[], now: Date): void {
  const page = readFileSync(file, "utf8");
  const [before = "", rest = ""] = page.split(begin);
  const [kept = "", after = ""] = rest.split(end);
  const machine = `${cpus().length} × ${cpus()[0]?.model ?? "unknown"}, Node ${process.versions.node}`;
  const head = `${now.toISOString().slice(0, 10)}, ${machine}${isPinned ? "" : ", not pinned"}`;
  const texts = new Map(kept.split(/^(?=### )/m).map((text) => [titleOf(text), text.trim()]));
  for (const section of sections) texts.set(section.title, `${toMarkdown(section)}\n${head}`);
  texts.delete(undefined);
  writeFileSync(file, `${before}${begin}\n\n${[...texts.values()].join("\n\n")}\n\n${end}${after}`);
}

function titleOf(text: string): string | undefined {
  return /^### (.+)/.exec(text)?.[1];
}

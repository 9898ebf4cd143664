import { pino } from "pino";
import { describe, expect, it } from "vitest";
import { createJsonLog } from "./pino-log.ts";

/** What the logger writes at a level, without the time of each line. */
function write(
  level: "debug" | "info" | "warn" | "error",
  use: (log: ReturnType<typeof createJsonLog>) => void,
) {
  const lines: string[] = [];
  use(createJsonLog(level, { write: (line) => void lines.push(line) }));
  return lines.map((line) => line.replace(/"time":"\d{4}-\d\d-\d\dT[\d:.]+Z"/, '"time":0'));
}

const circle: { self?: unknown } = {};
circle.self = circle;

describe("createJsonLog", () => {
  it.each<[string, object]>([
    ["the fields of a request", { requestId: "a", status: 200, ms: 0.1, code: undefined }],
    ["no fields", {}],
    ["texts that JSON escapes", { path: '/"\\\n\u2028\ud800', client: "::1" }],
    ["numbers that JSON has not", { ms: Number.NaN, seconds: Number.POSITIVE_INFINITY }],
    ["members of members", { details: { at: new Date(0), list: [1, null, undefined] } }],
    ["an error", { err: new RangeError("broken", { cause: new Error("below") }) }],
    ["a circle", circle],
    ["a large whole number", { count: 10n }],
  ])("writes the line that pino writes: %s", (_, fields) => {
    const [ours] = write("info", (log) => log.info(fields, 'a "message"'));
    const theirs: string[] = [];
    const settings = {
      base: null,
      messageKey: "message",
      formatters: { level: (level: string) => ({ level }) },
      timestamp: () => ',"time":0',
    };
    pino(settings, { write: (line) => void theirs.push(line) }).info(fields, 'a "message"');
    expect([ours]).toEqual(theirs);
    expect(ours?.split("\n")).toEqual([expect.any(String), ""]);
  });

  it.each(["debug", "info"] as const)("writes a text at %s as the fields that it says", (level) => {
    const lines = write(level, (log) => {
      for (const members of ['"path":"/","status":200', ""]) {
        log.infoText(members, "request");
        log.info(JSON.parse(`{${members}}`), "request");
      }
    });
    expect(lines).toHaveLength(4);
    expect([lines[0], lines[2]]).toEqual([lines[1], lines[3]]);
    expect(write("warn", (log) => log.infoText('"status":200', "request"))).toEqual([]);
    const child = write(level, (log) => log.child({ part: "edge" }).infoText('"status":200', "request"));
    expect(JSON.parse(child[0] ?? "")).toMatchObject({ part: "edge", status: 200, message: "request" });
  });

  it.each([
    ["debug", ["debug", "info", "warn", "error"]],
    ["info", ["info", "warn", "error"]],
    ["warn", ["warn", "error"]],
    ["error", ["error"]],
  ] as const)("at %s writes %j", (level, expected) => {
    const lines = write(level, (log) => {
      for (const each of ["debug", "info", "warn", "error"] as const) log[each]({}, each);
    });
    expect(lines.map((line) => JSON.parse(line).level)).toEqual(expected);
  });

  it("adds a child's fields to each of its lines", () => {
    const [line] = write("info", (log) => log.child({ part: "feed" }).info({ count: 1 }, "polled"));
    expect(JSON.parse(line ?? "")).toMatchObject({ part: "feed", count: 1, message: "polled" });
  });
});

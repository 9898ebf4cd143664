import { describe, expect, it } from "vitest";
import { LogOutput, toWholeLines } from "./pino-log.ts";

/** A file that takes what it is told to, and says no in the same way otherwise. */
function createFile() {
  const file = {
    text: "",
    /** How many bytes it takes from now on. */
    room: Number.POSITIVE_INFINITY,
    code: "ENOSPC",
    write(bytes: Buffer): number {
      if (file.room === 0) throw Object.assign(new Error(file.code), { code: file.code });
      const taken = bytes.subarray(0, file.room);
      file.text += taken.toString();
      file.room -= taken.length;
      return taken.length;
    },
  };
  return file;
}

/** An output that says in a line of its own when it is back. */
function open(file: ReturnType<typeof createFile>): LogOutput {
  const output: LogOutput = new LogOutput({
    write: file.write,
    onBack: (lostCount) => output.write(`back ${lostCount}\n`),
  });
  return output;
}

describe("LogOutput", () => {
  it("writes what waits in one go, in order", () => {
    const writes: string[] = [];
    const output = new LogOutput({
      write: (bytes) => writes.push(bytes.toString()) && bytes.length,
      onBack: () => {},
    });
    output.write("one\n");
    output.write("two\n");
    expect(writes).toEqual([]);
    output.flush();
    expect(writes).toEqual(["one\ntwo\n"]);
    expect(output.lostCount).toBe(0);
  });

  it.each(["ENOSPC", "EPIPE", "EIO"])(
    "loses and counts what meets %s, and says so once it is over",
    (code) => {
      const file = Object.assign(createFile(), { code });
      const output = open(file);
      file.room = 0;
      for (const line of ["one\n", "two\n"]) {
        output.write(line);
        output.flush();
      }
      expect(output.lostCount).toBe(2);
      file.room = 1_000;
      output.write("three\n");
      output.flush();
      output.write("four\n");
      output.flush();
      expect(file.text).toBe("three\nback 2\nfour\n");
      expect(output.lostCount).toBe(2);
    },
  );

  it("ends a line that was written in half before the next one begins", () => {
    const file = createFile();
    const output = open(file);
    file.room = 6;
    output.write("one\n");
    output.write("two\n");
    output.write("three\n");
    output.flush();
    expect(output.lostCount).toBe(2);
    file.room = 1_000;
    output.write("four\n");
    output.flush();
    expect(file.text).toBe("one\ntw\nfour\nback 2\n");
  });

  it("waits for a slow reader and loses nothing by it", () => {
    const file = Object.assign(createFile(), { code: "EAGAIN" });
    const output = open(file);
    file.room = 5;
    output.write("one\n");
    output.write("two\n");
    output.flush();
    output.write("three\n");
    expect(file.text).toBe("one\nt");
    file.room = 1_000;
    output.flush();
    expect(file.text).toBe("one\ntwo\nthree\n");
    expect(output.lostCount).toBe(0);
  });

  it("keeps no more than some megabytes for a reader that never reads", () => {
    const file = Object.assign(createFile(), { code: "EAGAIN", room: 0 });
    const output = open(file);
    const line = `${"x".repeat(1023)}\n`;
    for (let lines = 0; lines < 10_000; lines++) output.write(line);
    expect(output.lostCount).toBeGreaterThan(4_000);
    file.room = Number.POSITIVE_INFINITY;
    output.flush();
    expect(file.text.split("\n").length - 1).toBe(10_000 - output.lostCount + 1);
    expect(file.text).toContain(`back ${output.lostCount}\n`);
  });

  it("gives a reader time to take the last lines, but not for ever", () => {
    const file = Object.assign(createFile(), { code: "EAGAIN", room: 0 });
    const output = open(file);
    output.write("last\n");
    const beganAtMs = performance.now();
    output.finish();
    expect(performance.now() - beganAtMs).toBeGreaterThan(400);
    expect(file.text).toBe("");
  });
});

describe("what is written at once beside other processes", () => {
  const lines = (...lengths: number[]) =>
    Buffer.from(lengths.map((length) => `${"x".repeat(length - 1)}\n`).join(""));

  it.each([
    ["all that fits into what a pipe takes whole", lines(96, 4000), 4096],
    ["whole lines of more than that", lines(2000, 2000, 2000), 4000],
    ["a line that ends with the last byte", lines(4096, 10), 4096],
    ["a line alone that is longer", lines(4097, 10), 4097],
    ["what there is of a long line that has no end yet", Buffer.alloc(5000, "x"), 5000],
  ])("is %s", (_, bytes, length) => expect(toWholeLines(bytes)).toBe(length));
});

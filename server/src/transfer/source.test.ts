import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { writeHeader, writeRecord } from "./csv.ts";
import { RefusedRecord } from "./errors.ts";
import { loadMapping } from "./mapping.ts";
import type { FileFormat, RawRecord } from "./read-file.ts";
import type { Kind } from "./records.ts";
import { guessFormat, openSource } from "./source.ts";

const folder = mkdtempSync(join(tmpdir(), "vestibule-source-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let count = 0;

/** What is read of a file with these contents. */
async function read(
  contents: string | Buffer,
  format: FileFormat,
  kind: Kind = "people",
  mapping?: string,
): Promise<unknown[]> {
  const path = join(folder, `file-${count++}`);
  writeFileSync(path, contents);
  const given = mapping === undefined ? undefined : loadMapping(mapping, (file) => join(folder, file));
  const source = await openSource({ path, kind, format, mapping: given });
  const found: unknown[] = [];
  for await (const { place, value } of source.records) found.push([toText(place), toValue(value)]);
  expect(source.file.digest()).toBe(createHash("sha256").update(contents).digest("hex"));
  return found;
}

const toText = (place: RawRecord["place"]) => ("line" in place ? place.line : place.record);
const toValue = (value: RawRecord["value"]) =>
  value instanceof RefusedRecord ? [value.refusal.reason, value.refusal.message].join(" ") : value;

describe("lines of JSON", () => {
  it("are read whatever their line ends, behind a byte order mark, and without empty ones", async () => {
    const text = '\ufeff{"email":"a@b.c"}\r\n\n  \r\n{"email":"ü@b.c"}';
    expect(await read(text, "jsonl")).toEqual([
      [1, { email: "a@b.c" }],
      [4, { email: "ü@b.c" }],
    ]);
    expect(await read("", "jsonl")).toEqual([]);
  });

  it("are refused one by one where they are none", async () => {
    const latin = Buffer.concat([Buffer.from('{"title":"J'), Buffer.from([0xf6]), Buffer.from('rg"}\n')]);
    const huge = `{"title":"${"x".repeat(4 * 1024 * 1024)}"}\n`;
    const text = Buffer.concat([
      Buffer.from('{"email"\n[1]\nnull\n'),
      latin,
      Buffer.from(huge),
      Buffer.from('{"ok":1}\n'),
    ]);
    expect(await read(text, "jsonl")).toEqual([
      [1, "INVALID must be JSON on one line"],
      [2, "INVALID must be a JSON object"],
      [3, "INVALID must be a JSON object"],
      [4, "INVALID must be UTF-8"],
      [5, "INVALID must be at most 4 MiB"],
      [6, { ok: 1 }],
    ]);
  });

  it("are refused as a whole in UTF-16, and where there is no file", async () => {
    const utf16 = Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from("{}", "utf16le")]);
    await expect(read(utf16, "jsonl")).rejects.toThrow("is UTF-16; save it as UTF-8");
    const missing = openSource({ path: join(folder, "missing"), kind: "people", format: "jsonl" });
    await expect(missing).rejects.toThrow("is not there");
  });
});

describe("CSV", () => {
  it("is read as RFC 4180 has it, with the line that each row begins on", async () => {
    const text =
      'email,title,metadata\r\na@b.c,"two\r\nlines, ""quoted""",\r\nb@b.c,,"{""a"":1}"\r\n\r\nc@b.c,x,';
    expect(await read(`\ufeff${text}`, "csv")).toEqual([
      [2, { email: "a@b.c", title: 'two\r\nlines, "quoted"' }],
      [4, { email: "b@b.c", metadata: { a: 1 } }],
      [6, { email: "c@b.c", title: "x" }],
    ]);
  });

  it("says which column is none, and which is there twice", async () => {
    await expect(read("email,tittle\n", "csv")).rejects.toThrow(
      'line 1: "tittle" is no column of people; expected title',
    );
    await expect(read("email;title\n", "csv")).rejects.toThrow("is no column of people");
    await expect(read("email,email\n", "csv")).rejects.toThrow("line 1: email is there twice");
  });

  it("refuses rows that do not fit one by one, and ends where quotes do not match", async () => {
    const latin = Buffer.concat([Buffer.from("a@b.c,J"), Buffer.from([0xf6]), Buffer.from("rg,\n")]);
    const head = Buffer.from("email,title,metadata\n");
    expect(await read(Buffer.concat([head, latin, Buffer.from("a@b.c\nb@b.c,x,{\n")]), "csv")).toEqual([
      [2, "INVALID must be UTF-8"],
      [3, "INVALID has 1 cells, expected 3"],
      [4, "INVALID must be JSON"],
    ]);
    const unclosed = 'email,title\na@b.c,x\nb@b.c,"y\nc@b.c,z\n';
    await expect(read(unclosed, "csv")).rejects.toThrow(/line 4: quotes do not match; nothing was read/);
    await expect(read('email,title\na@b.c,x"y\n', "csv")).rejects.toThrow(/line 2: quotes do not match/);
    const huge = `email,title\na@b.c,"${"x".repeat(5 * 1024 * 1024)}"\n`;
    await expect(read(huge, "csv")).rejects.toThrow("a row is longer than 4 MiB");
  });

  it.each([
    "=1+1",
    "+1",
    "-1",
    "@x",
    "\tx",
    "\uff1dx",
    "'=1",
    "''=1",
    "it's",
    "'quoted'",
    "plain",
    '"',
    "a\nb",
  ])("writes %j so that no spreadsheet computes it, and reads it back", async (title) => {
    const row = writeRecord("people", { email: "a@b.c", title });
    const cell = row.split(",").slice(4, -4).join(",");
    expect(cell).not.toMatch(/^"?[=+\-@\t\uff1d]/);
    expect(await read(writeHeader("people") + row, "csv")).toEqual([[2, { email: "a@b.c", title }]]);
  });
});

describe("a JSON document", () => {
  const mapping = (name: string, text: string) => {
    writeFileSync(join(folder, name), text);
    return name;
  };
  const own = mapping(
    "own.yaml",
    `source: own
kinds:
  people:
    list: data.people
    without: bot
    fields:
      email: [mail, address]
      title: { from: [first, last], join: " " }
      state: { from: active, values: { "true": enabled, "false": disabled } }
      created_at: { from: since, as: milliseconds }
      metadata: { object: { team: org.team, from: { value: own } } }
  members:
    list: data.people
    each: groups
    fields:
      user_email: "^.mail"
      org_name: { from: value, as: handle }
      role: { value: viewer }
`,
  );
  const document = JSON.stringify({
    other: { people: [{ mail: "no" }] },
    data: {
      people: [
        {
          mail: "a@b.c",
          first: "A",
          last: "B",
          active: true,
          since: 1_600_000_000_000,
          groups: ["/Acme Inc."],
        },
        { address: "b@b.c", last: "C", org: { team: "x" }, groups: [] },
        { mail: "bot@b.c", bot: true },
        { mail: "d@b.c", active: "maybe" },
        7,
      ],
    },
  });

  it("is read by a mapping: paths, the first that is there, texts in one, values, instants, objects", async () => {
    expect(await read(document, "json", "people", own)).toEqual([
      [
        "data.people[0]",
        {
          email: "a@b.c",
          title: "A B",
          state: "enabled",
          created_at: "2020-09-13T12:26:40.000Z",
          metadata: { from: "own" },
        },
      ],
      ["data.people[1]", { email: "b@b.c", title: "C", metadata: { team: "x", from: "own" } }],
      ["data.people[3]", "UNMAPPED the mapping knows true, false alone"],
      ["data.people[4]", "INVALID must be a JSON object"],
    ]);
  });

  it("has records within records", async () => {
    expect(await read(document, "json", "members", own)).toEqual([
      ["data.people[0].groups[0]", { user_email: "a@b.c", org_name: "acme-inc", role: "viewer" }],
      ["data.people[4]", "INVALID must be a JSON object"],
    ]);
  });

  it("is refused where it is cut or none, and without a mapping", async () => {
    await expect(read(document.slice(0, -30), "json", "people", own)).rejects.toThrow(
      "is no JSON, or not all",
    );
    await expect(read("hello", "json", "people", own)).rejects.toThrow("is no JSON");
    await expect(read("{}", "json")).rejects.toThrow("by a --mapping alone");
    await expect(read("{}", "json", "identities", own)).rejects.toThrow(
      "the mapping has no identities: expected one of people, members",
    );
  });

  it("is read by lines or rows with the same mapping", async () => {
    expect(await read('{"mail":"a@b.c","last":"B"}\n', "jsonl", "people", own)).toEqual([
      [1, { email: "a@b.c", title: "B", metadata: { from: "own" } }],
    ]);
    expect(await read("mail,last,active\na@b.c,B,false\n", "csv", "people", own)).toEqual([
      [2, { email: "a@b.c", title: "B", state: "disabled", metadata: { from: "own" } }],
    ]);
  });

  it.each([
    [
      "source: own\nkinds:\n  people:\n    fields: { emial: mail }\n",
      "kinds.people.fields.emial: expected one of",
    ],
    ["source: Own\nkinds: {}\n", "source: Invalid"],
    ["source: own\nkinds:\n  folks:\n    fields: {}\n", "kinds"],
    ["source: own\nkinds:\n  people:\n    fields: { email: { run: rm } }\n", "kinds.people.fields.email"],
    ["source: [", "cannot be read"],
  ])("is refused by the mapping %j", async (text, message) => {
    const name = mapping(`bad-${count++}.yaml`, text);
    expect(() => loadMapping(name, (file) => join(folder, file))).toThrow(message);
  });

  it("is refused by a mapping that is not there", () => {
    expect(() => loadMapping("okta", (file) => join(folder, file))).toThrow(
      "okta: there is no such mapping; name keycloak, frontier or a file",
    );
  });
});

it("takes a file for what its name says", () => {
  expect(["a.csv", "a.JSON", "a.jsonl", "a", "a.txt"].map(guessFormat)).toEqual([
    "csv",
    "json",
    "jsonl",
    "jsonl",
    "jsonl",
  ]);
});

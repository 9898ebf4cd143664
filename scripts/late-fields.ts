/**
 * Half of what a start did for the schemas it did for fields of messages that
 * nobody had asked about. In the bundle those of a message are decoded and
 * described when they are first looked at. Which files, messages, enums and
 * services there are, and what is said of them, is known at once, as ever.
 */
import { readFileSync } from "node:fs";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  type DescriptorProto,
  DescriptorProtoSchema,
  FileDescriptorProtoSchema,
} from "@bufbuild/protobuf/wkt";
import type { Plugin } from "esbuild";

/** Where a generated file says what it is: by its descriptor in Base64, and the files it imports. */
const description = /fileDesc\("([A-Za-z0-9+/=]+)"(?:, (\[[^\]]*\]))?\)/;

/** A generated file with the fields of each message as a text of their own, outer messages before inner ones. */
function splitFields(code: string): string {
  if (code.includes("fileDesc(") !== description.test(code)) {
    throw new Error("generated files describe themselves otherwise now: see whether lateFields still fits");
  }
  return code.replace(description, (_, text: string, imports = "[]") => {
    const file = fromBinary(FileDescriptorProtoSchema, Buffer.from(text, "base64"));
    const fields: string[] = [];
    const split = (message: DescriptorProto): void => {
      const { field } = message;
      fields.push(toBase64(toBinary(DescriptorProtoSchema, create(DescriptorProtoSchema, { field }))));
      message.field = [];
      message.nestedType.forEach(split);
    };
    file.messageType.forEach(split);
    const rest = toBase64(toBinary(FileDescriptorProtoSchema, file));
    return `fileDesc("${rest}", ${imports}, ${JSON.stringify(fields)})`;
  });
}

function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64");
}

/** Takes the place of the library's function of that name, and puts the fields back when they are read. */
const fileDesc = `
import { fromBinary } from "../from-binary.js";
import { createEmbeddedFileRegistry } from "../registry.js";
import { DescriptorProtoSchema, FileDescriptorProtoSchema } from "../wkt/google/protobuf/descriptor_pb.js";
import { restoreJsonNames } from "./restore-json-names.js";

export function fileDesc(text, imports, fields) {
  const file = decode(FileDescriptorProtoSchema, text);
  file.dependency = imports.map(({ proto }) => proto.name);
  const texts = fields.values();
  const visit = (message) => {
    putBackLater(message, texts.next().value);
    message.nestedType.forEach(visit);
  };
  file.messageType.forEach(visit);
  return createEmbeddedFileRegistry(file).getFile(file.name);
}

function putBackLater(message, text) {
  const get = () => {
    const { field } = decode(DescriptorProtoSchema, text);
    restoreJsonNames({ field, nestedType: [] });
    Object.defineProperty(message, "field", { value: field, writable: true });
    return field;
  };
  Object.defineProperty(message, "field", { get, enumerable: true, configurable: true });
}

const decode = (schema, text) => fromBinary(schema, Buffer.from(text, "base64"));
`;

/** What the library's registry says of a message's fields, made when one of these is first read. */
const lateMessages = `
const late = new WeakMap();
const plain = { value: undefined, writable: true, enumerable: true, configurable: true };
const own = { fields: plain, field: plain, oneofs: plain, members: plain };
const describeNow = (message) => {
  // From now on it has them as any object has its properties, and all messages are of one shape.
  Object.assign(Object.defineProperties(message, own), { fields: [], field: {}, oneofs: [], members: [] });
  late.get(message)();
  late.delete(message);
  return message;
};
const lateMessage = {
  get fields() { return describeNow(this).fields; },
  get field() { return describeNow(this).field; },
  get oneofs() { return describeNow(this).oneofs; },
  get members() { return describeNow(this).members; },
};
const embedded = createBaseRegistry();
`;

/** What is changed in that registry, each in one place. */
const registryChanges: readonly (readonly [from: string, to: string])[] = [
  ["function addMessage(", `${lateMessages}$&`],
  [
    "        fields: [],\n        field: {},\n        oneofs: [],\n        members: [],\n",
    "        __proto__: lateMessage,\n",
  ],
  [
    "    for (const enumProto of proto.enumType) {\n        addEnum(enumProto, file, desc, reg);",
    "    late.set(desc, () => addFields(desc, reg, mapEntries));\n$&",
  ],
  ["        addFields(mapEntry, reg, mapEntries);\n", ""],
  ["        addFields(message, reg, mapEntries);\n", ""],
  ["        addFields(child, reg, mapEntries);\n", ""],
  // Each generated file made a registry of all that it imports. They have one together.
  [
    "return buildFileRegistry([fileDescriptorProto, resolve]);",
    "addFile(fileDescriptorProto, embedded);\n    return embedded;",
  ],
  // Those that others make come to what most files import once, instead of once per way to it.
  ["addFile(file, skipTypes, withDeps) {", "$& if (files.get(file.proto.name) === file) return;"],
];

function changeRegistry(code: string): string {
  return registryChanges.reduce((changed, [from, to]) => {
    if (code.split(from).length !== 2) {
      throw new Error(
        `@bufbuild/protobuf's registry has changed: see whether lateFields still fits, at ${from}`,
      );
    }
    return changed.replace(from, to);
  }, code);
}

/** Generated files, and the library that reads them, so that fields are described when they are looked at. */
export const lateFields: Plugin = {
  name: "late-fields",
  setup({ onLoad }) {
    onLoad({ filter: /_pb\.js$/ }, ({ path }) => ({ contents: splitFields(readFileSync(path, "utf8")) }));
    onLoad({ filter: /@bufbuild[\\/]protobuf[\\/]dist[\\/]esm[\\/]codegenv2[\\/]file\.js$/ }, () => ({
      contents: fileDesc,
    }));
    onLoad({ filter: /@bufbuild[\\/]protobuf[\\/]dist[\\/]esm[\\/]registry\.js$/ }, ({ path }) => ({
      contents: changeRegistry(readFileSync(path, "utf8")),
    }));
  },
};

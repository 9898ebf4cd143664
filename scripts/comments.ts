import type { AnyDesc, DescFile, DescMessage } from "@bufbuild/protobuf";
import { getComments } from "@bufbuild/protoplugin";

type Commented = Exclude<AnyDesc, DescFile>;

/**
 * The comments on services, methods, messages, fields and enums of schemas
 * that were compiled with their source information, by full name.
 */
export function collectComments(files: readonly DescFile[]): Record<string, string> {
  const found = files.flatMap(listNamed).map(([name, desc]) => [name, toText(desc)] as const);
  return Object.fromEntries(found.filter(([, text]) => text !== ""));
}

function listNamed(file: DescFile): [name: string, desc: Commented][] {
  return [
    ...file.services.flatMap((service): [string, Commented][] => [
      [service.typeName, service],
      ...service.methods.map((method): [string, Commented] => [`${service.typeName}.${method.name}`, method]),
    ]),
    ...file.enums.map((each): [string, Commented] => [each.typeName, each]),
    ...file.messages.flatMap(listInMessage),
  ];
}

function listInMessage(message: DescMessage): [name: string, desc: Commented][] {
  return [
    [message.typeName, message],
    ...message.fields.map((field): [string, Commented] => [`${message.typeName}.${field.name}`, field]),
    ...message.nestedEnums.map((each): [string, Commented] => [each.typeName, each]),
    ...message.nestedMessages.flatMap(listInMessage),
  ];
}

/** Without the space after each comment mark; lines of a paragraph are joined, lists are not. */
function toText(desc: Commented): string {
  const lines = (getComments(desc).leading ?? "").split("\n").map((line) => line.replace(/^ /, "").trimEnd());
  return lines
    .join("\n")
    .trim()
    .replace(/(?<=\S)\n(?=[^\s\-*])/g, " ");
}

/** Schemas of tests, compiled when a test asks for them. */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { createFileRegistry, type FileRegistry, fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";

const root = join(import.meta.dirname, "../..");

/** Compiles schemas below a folder of the repository against ours, comments included. */
export function compileSchemas(folder: string): FileRegistry {
  const modules = [
    { path: "proto", excludes: ["proto/third_party"] },
    { path: "proto/third_party" },
    { path: folder },
  ];
  const config = JSON.stringify({ version: "v2", modules });
  const image = execFileSync("buf", ["build", "--config", config, "--as-file-descriptor-set", "-o", "-"], {
    cwd: root,
  });
  return createFileRegistry(fromBinary(FileDescriptorSetSchema, image));
}

/** The load generator as a process of its own, so that it can have a core of its own. */
import { type PlainLoad, PlainLoader } from "./http1-load.ts";
import { type GrpcLoad, GrpcLoader } from "./http2-load.ts";

/** What the parent sends: a load to prepare under a name, or a window to run. */
export type LoadCommand =
  | { readonly kind: "http1"; readonly name: string; readonly load: PlainLoad }
  | {
      readonly kind: "grpc";
      readonly name: string;
      readonly load: Omit<GrpcLoad, "message"> & { message: string };
    }
  | { readonly kind: "run"; readonly name: string; readonly seconds: number };

const loaders = new Map<string, PlainLoader | GrpcLoader>();

process.on("message", async (command: LoadCommand) => {
  if (command.kind === "http1") {
    loaders.set(command.name, new PlainLoader(command.load));
    process.send?.({});
  } else if (command.kind === "grpc") {
    const message = Buffer.from(command.load.message, "base64");
    loaders.set(command.name, new GrpcLoader({ ...command.load, message }));
    process.send?.({});
  } else {
    process.send?.(await loaders.get(command.name)?.run(command.seconds));
  }
});

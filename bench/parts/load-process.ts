/** The load generator as a process of its own, so that it can have a core of its own. */
import { once } from "node:events";
import { createServer } from "node:net";
import { type PlainLoad, PlainLoader } from "./http1-load.ts";
import { type GrpcLoad, GrpcLoader } from "./http2-load.ts";
import { type LatencyLoad, LatencyLoader } from "./latency-load.ts";
import { type PacedLoad, PacedLoader } from "./paced-load.ts";
import { type SignInLoad, SignInLoader } from "./sign-in-load.ts";
import { type WatchLoad, WatchLoader } from "./watch-load.ts";

/** What the parent sends: a load to prepare under a name, or a window to run or to sample. */
export type LoadCommand =
  | { readonly kind: "http1"; readonly name: string; readonly load: PlainLoad }
  | {
      readonly kind: "grpc";
      readonly name: string;
      readonly load: Omit<GrpcLoad, "message"> & { message: string };
    }
  | { readonly kind: "sign-in"; readonly name: string; readonly load: SignInLoad }
  | { readonly kind: "latency"; readonly name: string; readonly load: LatencyLoad }
  | { readonly kind: "paced"; readonly name: string; readonly load: PacedLoad }
  | { readonly kind: "app"; readonly name: string; readonly port: number }
  | { readonly kind: "watch"; readonly name: string; readonly load: WatchLoad }
  | { readonly kind: "close"; readonly name: string }
  | { readonly kind: "run" | "sample"; readonly name: string; readonly seconds: number };

const loaders = new Map<string, PlainLoader | GrpcLoader | SignInLoader>();
const samplers = new Map<string, LatencyLoader | PacedLoader | WatchLoader>();

async function obey(command: LoadCommand): Promise<unknown> {
  switch (command.kind) {
    case "http1":
      loaders.set(command.name, new PlainLoader(command.load));
      return {};
    case "grpc": {
      const message = Buffer.from(command.load.message, "base64");
      loaders.set(command.name, new GrpcLoader({ ...command.load, message }));
      return {};
    }
    case "sign-in":
      loaders.set(command.name, new SignInLoader(command.load));
      return {};
    case "latency":
      samplers.set(command.name, new LatencyLoader(command.load));
      return {};
    case "paced":
      samplers.set(command.name, new PacedLoader(command.load));
      return {};
    case "app":
      await startApp(command.port);
      return {};
    case "watch": {
      const watching = new WatchLoader(command.load);
      samplers.set(command.name, watching);
      await watching.open();
      return {};
    }
    case "close":
      loaders.get(command.name)?.close();
      samplers.get(command.name)?.close();
      return {};
    case "run":
      return await loaders.get(command.name)?.run(command.seconds);
    case "sample":
      return await samplers.get(command.name)?.sample(command.seconds);
  }
}

/** An app behind a proxy that says the same to everything, here where it takes nothing from what is measured. */
async function startApp(port: number): Promise<void> {
  const answer = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nthe app";
  const server = createServer({ noDelay: true }, (socket) => {
    socket.on("error", () => {});
    let end = "";
    socket.on("data", (chunk: Buffer) => {
      end = (end + chunk.toString("latin1", Math.max(0, chunk.length - 4))).slice(-4);
      if (end === "\r\n\r\n") socket.write(answer);
    });
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
}

process.on("message", async (command: LoadCommand) => {
  process.send?.(await obey(command));
});

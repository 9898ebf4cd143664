import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** A stretch of network in front of a TCP server, that a test can break. */
export interface Relay {
  readonly port: number;
  /** Leads connections made from now on to another port; those there are stay where they are. */
  leadTo(port: number): void;
  /** Breaks every connection and refuses new ones: the server is gone. */
  cut(): void;
  /** Lets nothing through any more, in either direction, without a word: the network is gone. */
  stall(): void;
  /** Lets everything through again. */
  mend(): void;
  close(): void;
}

/** Relays connections to a port of this machine. */
export async function startRelay(targetPort: number): Promise<Relay> {
  const pairs = new Set<readonly Socket[]>();
  let target = targetPort;
  let isCut = false;
  let isStalled = false;
  const server = createServer((near) => {
    if (isCut) {
      near.destroy();
      return;
    }
    // Postgres waits for whom it knows half, and each `drop database` of any test waits for Postgres.
    const pair = isStalled ? [near] : [near, connect(target, "127.0.0.1")];
    pairs.add(pair);
    for (const socket of pair) {
      socket.on("error", () => {});
      socket.on("close", () => {
        for (const each of pair) each.destroy();
        pairs.delete(pair);
      });
    }
    const [, far] = pair;
    if (far !== undefined) near.pipe(far).pipe(near);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const each = (act: (socket: Socket) => void) => {
    for (const pair of pairs) pair.forEach(act);
  };
  return {
    port: (server.address() as AddressInfo).port,
    leadTo(port) {
      target = port;
    },
    cut() {
      isCut = true;
      each((socket) => socket.destroy());
    },
    stall() {
      isStalled = true;
      each((socket) => socket.unpipe().pause());
    },
    mend() {
      isCut = false;
      // What was stalled is not taken up again: its peers have given it up, or will.
      if (isStalled) each((socket) => socket.destroy());
      isStalled = false;
    },
    close() {
      server.close();
      each((socket) => socket.destroy());
    },
  };
}

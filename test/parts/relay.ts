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
  const pairs = new Set<readonly [Socket, Socket]>();
  let target = targetPort;
  let isCut = false;
  let isStalled = false;
  const server = createServer((near) => {
    if (isCut) {
      near.destroy();
      return;
    }
    const far = connect(target, "127.0.0.1");
    const pair = [near, far] as const;
    pairs.add(pair);
    for (const [from, to] of [pair, [far, near] as const]) {
      from.on("error", () => {});
      from.on("close", () => {
        to.destroy();
        pairs.delete(pair);
      });
      from.pipe(to);
      if (isStalled) from.pause();
    }
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

import { connect, type Server, type Socket } from "node:net";
import { setImmediate as nextTurn } from "node:timers/promises";

/** What Node has below its sockets: not documented, and the only way to these two calls. */
interface Handle {
  /** `listen(2)`, which may be called again. 0 when it went well. */
  listen?(backlog: number): number;
  /** `getpeername(2)`: 0 once the connection is made. */
  getpeername?(out: object): number;
}

/** On a busy machine some turns may pass before the place is free, on top of those that take what has come. */
const spareTurns = 200;

/**
 * Closes a listening socket without cutting anybody off.
 *
 * Closing resets the connections that the kernel has made and the process has
 * not accepted yet, and who is behind one may have sent a request on it. So
 * the kernel is left one place for those, and that is taken by a connection of
 * our own: while it is, nobody else's is made, and closing resets ours alone.
 * Whoever tried meanwhile is refused when they try again, having sent nothing.
 *
 * Where the place cannot be had the socket is just closed.
 *
 * @param backlog how many connections may wait to be accepted, which Node does one in a turn.
 * @returns a promise of the end of all connections that were accepted.
 */
export async function stopAccepting(
  server: Server,
  backlog: number,
): Promise<{ readonly ended: Promise<void> }> {
  const { listen } = handleOf(server);
  const address = server.address();
  let place: Socket | undefined;
  if (listen !== undefined && typeof address === "object" && address !== null) {
    handleOf(server).listen?.(0);
    for (let tries = 0; tries < backlog + spareTurns && place === undefined; tries += 1) {
      place = await takePlace(address.address, address.port);
      if (place === undefined) await nextTurn();
    }
  }
  // In the turn in which the place was taken: nothing was accepted since.
  const ended = new Promise<void>((resolve) => server.close(() => resolve()));
  place?.destroy();
  return { ended };
}

/** Connects; undefined when the kernel has not made the connection at once, as it does on one machine. */
async function takePlace(address: string, port: number): Promise<Socket | undefined> {
  const socket = connect(port, toReachable(address));
  socket.on("error", () => {});
  // Node connects in the first of these.
  await new Promise<void>((resolve) => process.nextTick(() => process.nextTick(resolve)));
  if (handleOf(socket).getpeername?.({}) === 0) return socket;
  socket.destroy();
  return undefined;
}

function toReachable(address: string): string {
  if (address === "0.0.0.0") return "127.0.0.1";
  return address === "::" ? "::1" : address;
}

function handleOf(owner: Server | Socket): Handle {
  return (owner as unknown as { _handle?: Handle | null })._handle ?? {};
}

import { constants, type ServerHttp2Session } from "node:http2";

/**
 * Cuts an HTTP/2 connection whose peer begins a header block and does not end it in time.
 *
 * Node tells of a request once its header is whole. What it shows before is the
 * last stream that was begun; while that is beyond the last request, the block
 * is either still open, or was refused by the parser without a word (malformed,
 * too large). A ping tells which: within a block a peer may send nothing else
 * (RFC 9113 §4.3), so not an answer to it either.
 *
 * Not seen is a frame's own nine bytes coming slowly: no block has begun then,
 * and the connection counts as idle.
 */
export class HeaderWatch {
  readonly #session: ServerHttp2Session;
  readonly #timeoutMs: number;
  /** Streams up to this one have their header behind them. */
  #over = 0;
  #suspect = 0;
  #cut: NodeJS.Timeout | undefined;

  constructor(session: ServerHttp2Session, timeoutMs: number) {
    this.#session = session;
    this.#timeoutMs = timeoutMs;
    session.on("stream", ({ id = 0 }) => this.#settle(id));
    session.once("close", () => clearTimeout(this.#cut));
  }

  /** To be called every now and then: what begins in between is noticed that much later. */
  check(): void {
    if (this.#session.destroyed) return;
    const begun = this.#session.state.lastProcStreamID ?? 0;
    if (begun <= this.#over || begun === this.#suspect) return;
    this.#suspect = begun;
    clearTimeout(this.#cut);
    this.#cut = setTimeout(() => this.#end(), this.#timeoutMs);
    this.#session.ping((error) => {
      if (error === null) this.#settle(begun);
    });
  }

  #end(): void {
    this.#session.destroy(undefined, constants.NGHTTP2_ENHANCE_YOUR_CALM);
  }

  #settle(stream: number): void {
    this.#over = Math.max(this.#over, stream);
    if (this.#over >= this.#suspect) clearTimeout(this.#cut);
  }
}

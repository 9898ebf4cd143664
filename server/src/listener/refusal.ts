/** A request that was refused before any handler saw it: what can be said of it without repeating it. */
export interface Refusal {
  readonly httpVersion: string;
  /** 0 when nothing could be answered: the stream was reset. */
  readonly status: number;
  /** The fault's name: a code of Node's parser, or one of ours in the same style. */
  readonly fault: string;
  /** The peer's address as the socket has it. */
  readonly peer: string;
}

/** Hears of each refusal, once. Must not throw. */
export type OnRefused = (refusal: Refusal) => void;

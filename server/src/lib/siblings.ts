/** Turns at something that one of several processes may do at a time. */
export interface Turns {
  /**
   * Begins, if it is this process's turn; otherwise answers false, and calls
   * `onOurs` once it is, or after half a second without an answer.
   */
  begin(onOurs: () => void): boolean;
  /** Ends what was begun. */
  end(): void;
}

/** The other processes that serve the same port, by type: `processes/` knows more of them. */
export interface Siblings {
  /** Which one this is, from 1 on; whoever is started in its place has the same number. */
  readonly number: number;
  /** Whether others served before this one was started. */
  readonly areServing: boolean;
  /**
   * Metrics of the others, and what their supervisor counts, each in the text
   * format of Prometheus. Who does not answer within a second is missing. Never rejects.
   */
  gatherMetrics(): Promise<readonly string[]>;
  /** Has others that gather be answered by `read`. */
  offerMetrics(read: () => Promise<string>): void;
  /** Turns at writing to what all of them have open. */
  readonly turns: Turns;
  /** Has the others look for what is new. */
  wakeOthers(): void;
  /** Calls the listener when another of them says that there is something new. Returns what ends that. */
  onWake(listener: () => void): () => void;
}

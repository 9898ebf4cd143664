/**
 * Verifies the answer to a flow by its strategy, and none twice.
 *
 * An answer that may be given once ends its flow before it is verified; and a
 * provider's code is known to all processes to have been sent before it leaves,
 * so that what one provider was told is of no use in a flow of another. One that
 * may be wrong a few times is counted before it is verified, per flow and per
 * mailbox, and forgiven if it was right: so no more are verified than allowed,
 * however many come at once, and none while the counts cannot be written. What
 * nobody can guess, a link, has no part in that: it neither counts nor is
 * refused for what did.
 */
import type { Database, Tx } from "../db/database.ts";
import type { Clock } from "../lib/clock.ts";
import { DomainError } from "../lib/errors.ts";
import type { CountedGuess, MailboxLimits } from "../limits/mailbox-limits.ts";
import type { KnownBrowsers } from "../sessions/known-browsers.ts";
import { countAttempt, deleteFlow, type Flow, uncountAttempt } from "./flow-store.ts";
import { consumeCode } from "./sent-code-store.ts";
import type { SignInFlows } from "./sign-in-flow.ts";
import type { Asker } from "./sign-in-mail.ts";
import type { FinishRequest, Proof, Strategy } from "./strategy.ts";

/** Parts that verifying an answer to a flow stands on, and how many wrong ones a flow takes. */
export interface AnswerVerifierOptions {
  readonly database: Database;
  readonly flows: Pick<SignInFlows, "consume">;
  readonly clock: Clock;
  /** Guesses at the codes of a mailbox, over all its flows. */
  readonly guesses: Pick<MailboxLimits, "countGuess" | "forgiveGuess">;
  readonly knownBrowsers: Pick<KnownBrowsers, "find">;
  /** Wrong codes that end a flow. */
  readonly wrongCodesPerFlow: number;
}

/** A proof, and what is still to be done with the transaction that acts on it. */
export interface VerifiedAnswer {
  readonly proof: Proof;
  /** @throws DomainError INVALID_FLOW when another answer was faster */
  settle(tx: Tx): Promise<void>;
  /** Instead: as if the answer had not come. A flow that takes one answer is over all the same. */
  takeBack(): Promise<void>;
}

/** What was counted for one answer. */
interface Counted {
  readonly attempts: number;
  readonly guess: CountedGuess | undefined;
}

/** Whether an error says nothing about the answer. */
export function isOutage(error: unknown): boolean {
  return !(error instanceof DomainError) || error.kind === "unavailable" || error.kind === "internal";
}

/** @see the head of this file */
export class AnswerVerifier {
  readonly #options: AnswerVerifierOptions;

  constructor(options: AnswerVerifierOptions) {
    this.#options = options;
  }

  /** @throws DomainError INVALID_FLOW, INVALID_OTP, and what the strategy throws */
  async verify(strategy: Strategy, flow: Flow, answer: FinishRequest, asker: Asker): Promise<VerifiedAnswer> {
    return strategy.attempts === "once"
      ? await this.#verifyOnce(strategy, flow, answer)
      : await this.#verifyCode(strategy, flow, answer, asker);
  }

  async #verifyOnce(strategy: Strategy, flow: Flow, answer: FinishRequest): Promise<VerifiedAnswer> {
    const { database, flows, clock } = this.#options;
    const isSending = strategy.callbackUrl !== undefined && answer.code !== "";
    const isFresh = await database.transaction(async (tx) => {
      if (!(await flows.consume(tx, flow.id))) throw new DomainError("INVALID_FLOW");
      return !isSending || (await consumeCode(tx, answer.code, clock.now()));
    });
    if (!isFresh)
      throw new DomainError("INVALID_FLOW", { detail: "the code was sent before, in another flow" });
    return { proof: await strategy.finish(answer), settle: async () => {}, takeBack: async () => {} };
  }

  async #verifyCode(
    strategy: Strategy,
    flow: Flow,
    answer: FinishRequest,
    asker: Asker,
  ): Promise<VerifiedAnswer> {
    const { flows, guesses } = this.#options;
    const isGuess = strategy.isUnguessable?.(answer.code) !== true;
    const counted = isGuess ? await this.#count(flow, asker) : undefined;
    try {
      const proof = await strategy.finish(answer);
      return {
        proof,
        settle: async (tx) => {
          if (!(await flows.consume(tx, flow.id))) throw new DomainError("INVALID_FLOW");
          if (counted?.guess !== undefined) await guesses.forgiveGuess(tx, counted.guess);
        },
        takeBack: async () => {
          if (counted !== undefined) await this.#afterFailure(flow, counted, true);
        },
      };
    } catch (error) {
      if (counted !== undefined) await this.#afterFailure(flow, counted, isOutage(error));
      throw error;
    }
  }

  /** Counts an answer, for its flow and its mailbox. @throws DomainError INVALID_OTP when none is left */
  async #count(flow: Flow, { info, browserKeys }: Asker): Promise<Counted> {
    const { database, clock, guesses, knownBrowsers, wrongCodesPerFlow } = this.#options;
    const counted = await database.transaction(async (tx) => {
      const attempts = await countAttempt(tx, flow.id, wrongCodesPerFlow, clock.now());
      if (attempts === undefined) return "the flow has no attempts left";
      if (flow.email === undefined) return { attempts, guess: undefined };
      const knownBrowser = await knownBrowsers.find(tx, flow.email, browserKeys);
      const { clientAddress } = info;
      const guess = await guesses.countGuess(tx, flow.email, { clientAddress, knownBrowser });
      return guess === undefined ? "the mailbox has no attempts left" : { attempts, guess };
    });
    if (typeof counted === "string") throw new DomainError("INVALID_OTP", { detail: counted });
    return counted;
  }

  async #afterFailure(flow: Flow, { attempts, guess }: Counted, isForgiven: boolean): Promise<void> {
    const { database, guesses, wrongCodesPerFlow } = this.#options;
    if (isForgiven) {
      await database.transaction(async (tx) => {
        await uncountAttempt(tx, flow.id);
        if (guess !== undefined) await guesses.forgiveGuess(tx, guess);
      });
    } else if (attempts >= wrongCodesPerFlow) {
      await database.transaction((tx) => deleteFlow(tx, flow.id));
    }
  }
}

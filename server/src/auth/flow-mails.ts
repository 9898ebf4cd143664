/** Mails that flows send after the answer, whose time then tells nothing of what there was to do. */
import type { Log } from "../lib/log.ts";
import type { MailMessage } from "../mail/message.ts";
import type { Asker, SignInMail } from "./sign-in-mail.ts";

/** How the mails go out, and where flows are removed that cannot go on without theirs. */
export interface FlowMailsOptions {
  readonly mail: Pick<SignInMail, "send">;
  readonly flows: { remove(id: string): Promise<void> };
  readonly log: Log;
}

/** @see the head of this file */
export class FlowMails {
  readonly #options: FlowMailsOptions;
  readonly #running = new Set<Promise<void>>();

  constructor(options: FlowMailsOptions) {
    this.#options = options;
  }

  /**
   * Sends a flow's mail once the answer has been given; where it cannot be sent
   * the flow is removed. Never throws.
   *
   * @param findMessage called after the answer as well.
   * @param strategy name of the one that the mail is of.
   */
  send(
    flowId: string,
    findMessage: () => MailMessage | Promise<MailMessage>,
    asker: Asker,
    strategy: string,
  ): void {
    const { flows, mail, log } = this.#options;
    const answered = new Promise<void>((resolve) => setImmediate(resolve));
    const running = answered
      .then(findMessage)
      .then((message) => mail.send(message, asker, strategy))
      .catch(async (err) => {
        log.warn({ err, strategy }, "a flow could not go on without its mail and is removed");
        await flows.remove(flowId).catch((error) => {
          log.warn({ err: error }, "a flow that cannot go on could not be removed");
        });
      });
    this.#running.add(running);
    void running.finally(() => this.#running.delete(running));
  }

  /** Resolves when no mail is still on its way. */
  async drain(): Promise<void> {
    await Promise.allSettled([...this.#running]);
  }
}

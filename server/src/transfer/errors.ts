/** A transfer that cannot be begun or gone on with. The message is meant for the operator's terminal. */
export class TransferError extends Error {
  override readonly name = "TransferError";
}

/** Why one record is not taken: what was expected, and where; never what stood there. */
export interface Refusal {
  /** Stable, in capitals: of the table in docs/moving-in.md, or of docs/errors.md. */
  readonly reason: string;
  /** Path of a member of the record; empty for the record as a whole. */
  readonly field: string;
  readonly message: string;
}

/** A record that is not taken. */
export class RefusedRecord extends Error {
  override readonly name = "RefusedRecord";
  readonly refusal: Refusal;

  constructor(reason: string, field: string, message: string) {
    super(message);
    this.refusal = { reason, field, message };
  }
}

/** An answer of a provider by which nothing is proven. What it says is safe to show to whoever set the provider up. */
export class NotProven extends Error {
  override readonly name = "NotProven";
  /** `error` of the provider's answer (RFC 6749 §5.2), if it was that. */
  readonly error: string | undefined;
  /** Status of the provider's answer, if that is what was wrong. */
  readonly status: number | undefined;

  constructor(message: string, said: { readonly error?: string; readonly status?: number } = {}) {
    super(message);
    this.error = said.error;
    this.status = said.status;
  }
}

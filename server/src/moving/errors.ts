/** A copy that cannot be made, or not go on, for the operator to mend. */
export class CopyError extends Error {
  override readonly name = "CopyError";
}

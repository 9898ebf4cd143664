/** A backup that cannot be made, read or restored, for the operator to mend. */
export class BackupError extends Error {
  override readonly name = "BackupError";
}

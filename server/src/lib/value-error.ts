/** One value is not what was expected; the message goes on from its key: `must be …`. */
export class ValueError extends Error {
  override readonly name = "ValueError";
}

/**
 * Names of providers, brought to NFC (UAX #15), in which they are unique: two
 * spellings of one text cannot be two providers. Letters of different scripts
 * that merely look alike stay different.
 */
import { invalidField } from "../../lib/invalid-request.ts";

/** Longest name, in characters. */
const maxLength = 100;

/**
 * Control and format characters, line separators, what is no character, private
 * use, and what leaves no mark (variation selectors, fillers): with one more of
 * them two names would look the same.
 */
const unfit = /[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/u;

/**
 * The name as it is stored.
 *
 * @throws DomainError INVALID_REQUEST naming `name`
 */
export function toName(text: string): string {
  const name = text.normalize("NFC");
  if (name === "") throw invalidField("name", "must not be empty");
  if ([...name].length > maxLength) throw invalidField("name", `must have at most ${maxLength} characters`);
  if (unfit.test(name)) throw invalidField("name", "must have no control, format or invisible characters");
  if (name.trim() !== name) throw invalidField("name", "must have no space at either end");
  return name;
}

/** Shortest part of a secret that gives some of it away, in characters. */
const tellingLength = 8;

/** Shortest secret that is looked for: what is shorter is in any text. */
const shortestSecret = 4;

/** Longest word that is shown: what is longer is a token more often than a word. An address may be longer. */
const longestWord = 40;

/** Longest text that is read at all, in characters. */
const longestRead = 2_000;

/**
 * What somebody else's server wrote, fit for a log: on one line, cut, and
 * without any word that repeats a part of what it was sent, or looks like a token.
 *
 * @param secrets what it was sent that nobody else may know
 * @param longest in characters
 */
export function toShownText(text: string, secrets: readonly string[], longest: number): string {
  const read = text
    .slice(0, longestRead)
    .toWellFormed()
    .replace(/[\p{C}\s]+/gu, " ")
    .trim();
  const forms = secrets.flatMap((secret) => [secret, encodeURIComponent(secret.toWellFormed())]);
  const telling = findTelling(
    read,
    forms.filter((form) => form.length >= shortestSecret),
  );
  const shown = read.replace(/[^ ]+/g, (word, at: number) => {
    const isTelling = telling.some((one) => one >= at && one < at + word.length);
    return isTelling ? "…" : toShownWord(word);
  });
  return shown.length > longest ? `${shown.slice(0, longest - 1)}…`.toWellFormed() : shown;
}

/** Every place in a text at which, by one character of it, a part of a secret stands. */
function findTelling(text: string, secrets: readonly string[]): readonly number[] {
  const places: number[] = [];
  for (const secret of secrets) {
    const length = Math.min(tellingLength, secret.length);
    for (let at = 0; at + length <= text.length; at += 1) {
      if (!secret.includes(text.slice(at, at + length))) continue;
      for (let offset = 0; offset < length; offset += 1) places.push(at + offset);
    }
  }
  return places;
}

function toShownWord(word: string): string {
  // Of an address, what may be a parameter stays out.
  const [address = ""] = /https?:\/\/[^?#]*/.exec(word) ?? [];
  if (address !== "") return address.length < word.length && word.includes("?") ? `${address}?…` : word;
  return word.length > longestWord ? "…" : word;
}

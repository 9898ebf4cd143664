const subject = /^[^\p{Cc}\p{Cs}]{1,255}$/u;

/**
 * Whether a text is a person's name at an issuer (OpenID Connect Core 1.0 §2),
 * of any script. An empty one, or one that a database keeps in another form,
 * could be several people's.
 */
export function isSubject(text: string): boolean {
  return subject.test(text);
}

/**
 * Pictures of people and organizations.
 *
 * One is a URL elsewhere, or a file that was handed over: then it is kept here
 * under the hash of what it is, once for all who have it, for as long as one
 * of them does, and served at a URL of ours. The rows of users and
 * organizations hold its path, so that lists stay small. The room says what is
 * a picture; whose it is, and who may change it, is for the nouns.
 */
import { createHash } from "node:crypto";
import type { Tx } from "../db/database.ts";
import type { Clock } from "../lib/clock.ts";
import type { DomainError } from "../lib/errors.ts";
import { invalidField } from "../lib/invalid-request.ts";
import { avatarsPath, findHash } from "./path.ts";
import { isPicture, longestSide, type Picture, type PictureType, pictureTypes } from "./picture.ts";
import { holdAvatar, insertAvatar } from "./store.ts";

/** Longest URL of a picture elsewhere, in characters. */
const longestUrl = 2048;

/** Longest picture that is handed over, as a data URL, in characters. */
const longestDataUrl = 250_000;

/** RFC 2397, of what pictures are sent as; what stands in it is looked at. */
const dataUrl = /^data:(?<type>image\/[a-z]+);base64,(?<content>[A-Za-z0-9+/]+={0,2})$/;

/** A picture that was asked for, checked. */
export interface AvatarDraft {
  /** What the row of whoever has it holds: a URL, a path of ours, or nothing. */
  readonly stored: string;
  /** Of one that was handed over. */
  readonly picture?: Picture;
}

/** @see the head of this file */
export class Avatars {
  readonly #clock: Clock;
  readonly #prefix: string;
  readonly #publicUrl: string;

  constructor({ clock, publicUrl }: { readonly clock: Clock; readonly publicUrl: string }) {
    this.#clock = clock;
    this.#publicUrl = publicUrl;
    this.#prefix = publicUrl + avatarsPath;
  }

  /** Reads what a request says of a picture. @param field path of it in the schema @throws DomainError INVALID_REQUEST */
  read(field: string, value: string): AvatarDraft {
    if (value === "") return { stored: "" };
    if (value.startsWith(this.#prefix)) {
      const stored = value.slice(this.#publicUrl.length);
      if (findHash(stored) !== undefined) return { stored };
    }
    if (value.startsWith("data:")) return readDataUrl(field, value);
    const isUrl = /^https:\/\/[^\s\p{Cc}\p{Bidi_Control}]+$/u.test(value) && URL.canParse(value);
    if (!isUrl || [...value].length > longestUrl) throw notAPicture(field);
    return { stored: value };
  }

  /**
   * Keeps a picture for whoever is about to have it; before their row is
   * written. Nobody removes it until the transaction ends.
   *
   * @throws DomainError INVALID_REQUEST for a path of ours that nobody has
   */
  async keep(tx: Tx, field: string, { stored, picture }: AvatarDraft): Promise<void> {
    const hash = findHash(stored);
    if (hash === undefined) return;
    const now = this.#clock.now();
    if (picture !== undefined) await insertAvatar(tx, hash, picture, now);
    else if (!(await holdAvatar(tx, hash, now))) throw notAPicture(field);
  }

  /** The URL of what a row holds. */
  show(stored: string): string {
    return stored.startsWith(avatarsPath) ? this.#publicUrl + stored : stored;
  }
}

function readDataUrl(field: string, value: string): AvatarDraft {
  const { type = "", content = "" } =
    value.length <= longestDataUrl ? (dataUrl.exec(value)?.groups ?? {}) : {};
  const bytes = Buffer.from(content, "base64");
  const isCanonical = bytes.toString("base64") === content;
  if (!isCanonical || !isPictureType(type)) throw notAPicture(field);
  if (!isPicture(type, bytes)) {
    throw invalidField(
      field,
      `must be a whole picture of the type it says, and nothing besides, of at most ${longestSide} by ${longestSide} pixels`,
    );
  }
  const hash = createHash("sha256").update(bytes).digest("base64url");
  return { stored: avatarsPath + hash, picture: { type, bytes } };
}

function isPictureType(type: string): type is PictureType {
  return Object.hasOwn(pictureTypes, type);
}

function notAPicture(field: string): DomainError {
  return invalidField(
    field,
    `must be empty, what it was, an https URL of at most ${longestUrl} characters, or a PNG, JPEG or GIF as a data URL of at most ${longestDataUrl}`,
  );
}

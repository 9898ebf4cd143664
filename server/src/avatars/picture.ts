/**
 * Whether bytes are a picture, and nothing besides: the whole structure of a
 * PNG, JPEG or GIF is walked, from the first byte to the last, so that what
 * only begins like one, is cut off, or goes on as something else is none.
 * Pixels are not decoded: that is for whoever shows them, to whom it goes with
 * its type and a policy that runs nothing.
 */
import { crc32 } from "node:zlib";

/** Largest width and height, in pixels: what a browser decodes without pain, were a page full of them. */
export const longestSide = 2048;

/** Kinds of pictures, by the media type that they are served with. */
export const pictureTypes = {
  "image/png": isPng,
  "image/jpeg": isJpeg,
  "image/gif": isGif,
} as const;

/** A key of {@link pictureTypes}. */
export type PictureType = keyof typeof pictureTypes;

/** A picture as it is served. */
export interface Picture {
  readonly type: PictureType;
  readonly bytes: Buffer;
}

/** Whether bytes are a whole picture of a type, within {@link longestSide}. */
export function isPicture(type: PictureType, bytes: Buffer): boolean {
  try {
    return pictureTypes[type](bytes);
  } catch (error) {
    // A read beyond the end: it is cut off.
    if (error instanceof RangeError) return false;
    throw error;
  }
}

function isSide(pixels: number): boolean {
  return pixels >= 1 && pixels <= longestSide;
}

const pngSignature = Buffer.from("\x89PNG\r\n\x1a\n", "latin1");

/** Bits of a sample that each type of colour may have (PNG, 3rd edition, §11.2.1). */
const pngDepths: Readonly<Record<number, readonly number[]>> = {
  0: [1, 2, 4, 8, 16],
  2: [8, 16],
  3: [1, 2, 4, 8],
  4: [8, 16],
  6: [8, 16],
};

/** Chunks without which a picture cannot be drawn; others of that weight are unknown (§5.4). */
const criticalChunks = new Set(["IHDR", "PLTE", "IDAT", "IEND"]);

/** PNG, 3rd edition, §5: the signature, then chunks with their checksums, of which IHDR is first and IEND last. */
function isPng(bytes: Buffer): boolean {
  if (!bytes.subarray(0, 8).equals(pngSignature)) return false;
  let hasData = false;
  for (let at = 8; ; ) {
    const length = bytes.readUInt32BE(at);
    const end = at + 8 + length;
    if (bytes.readUInt32BE(end) !== crc32(bytes.subarray(at + 4, end))) return false;
    const type = bytes.toString("latin1", at + 4, at + 8);
    if (!/^[A-Za-z]{4}$/.test(type) || (/^[A-Z]/.test(type) && !criticalChunks.has(type))) return false;
    if ((type === "IHDR") !== (at === 8)) return false;
    if (type === "IHDR" && !(length === 13 && isPngHead(bytes.subarray(at + 8, end)))) return false;
    if (type === "IDAT") hasData = true;
    if (type === "IEND") return hasData && length === 0 && end + 4 === bytes.length;
    at = end + 4;
  }
}

function isPngHead(head: Buffer): boolean {
  const [depth = 0, colour = 0, compression, filter, interlace = 2] = head.subarray(8);
  const isDrawable = pngDepths[colour]?.includes(depth) && compression === 0 && filter === 0 && interlace < 2;
  return isSide(head.readUInt32BE(0)) && isSide(head.readUInt32BE(4)) && isDrawable === true;
}

/** Markers of segments that a picture is made of (ITU T.81 §B.1.1.3): SOF0 to SOF2, DHT, SOS, DQT, DRI, APPn and COM. */
const jpegSegments = new Set([
  0xc0,
  0xc1,
  0xc2,
  0xc4,
  0xda,
  0xdb,
  0xdd,
  0xfe,
  ...Array.from({ length: 16 }, (_, index) => 0xe0 + index),
]);

/** ITU T.81 §B.2: SOI, then segments, a frame and its scans among them, and EOI at the end. */
function isJpeg(bytes: Buffer): boolean {
  if (bytes.readUInt16BE(0) !== 0xffd8) return false;
  let frames = 0;
  let scans = 0;
  for (let at = 2; ; ) {
    if (bytes.readUInt8(at) !== 0xff) return false;
    const marker = bytes.readUInt8(at + 1);
    // Any number of bytes may fill up before a marker (§B.1.1.2).
    if (marker === 0xff) {
      at += 1;
      continue;
    }
    if (marker === 0xd9) return frames === 1 && scans > 0 && at + 2 === bytes.length;
    if (!jpegSegments.has(marker)) return false;
    const length = bytes.readUInt16BE(at + 2);
    if (length < 2 || at + 2 + length > bytes.length) return false;
    if (marker <= 0xc2) {
      frames += 1;
      if (!isSide(bytes.readUInt16BE(at + 5)) || !isSide(bytes.readUInt16BE(at + 7))) return false;
    }
    at += 2 + length;
    if (marker !== 0xda) continue;
    if (frames === 0) return false;
    scans += 1;
    at = skipScan(bytes, at);
  }
}

/** Where the coded data of a scan ends: at a marker that is neither stuffing nor a restart (§B.1.1.5). */
function skipScan(bytes: Buffer, start: number): number {
  for (let at = start; ; at += 1) {
    if (bytes.readUInt8(at) !== 0xff) continue;
    const next = bytes.readUInt8(at + 1);
    const isData = next === 0 || (next >= 0xd0 && next <= 0xd7);
    if (!isData) return at;
    at += 1;
  }
}

/** GIF89a §§17–26: a screen, then images and extensions as chains of blocks, and the trailer at the end. */
function isGif(bytes: Buffer): boolean {
  if (!/^GIF8[79]a$/.test(bytes.toString("latin1", 0, 6))) return false;
  if (!isSide(bytes.readUInt16LE(6)) || !isSide(bytes.readUInt16LE(8))) return false;
  let images = 0;
  for (let at = 13 + colourTableBytes(bytes.readUInt8(10)); ; ) {
    const kind = bytes.readUInt8(at);
    if (kind === 0x3b) return images > 0 && at + 1 === bytes.length;
    if (kind === 0x21) {
      at = skipBlocks(bytes, at + 2);
    } else if (kind === 0x2c) {
      if (!isSide(bytes.readUInt16LE(at + 5)) || !isSide(bytes.readUInt16LE(at + 7))) return false;
      images += 1;
      at += 10 + colourTableBytes(bytes.readUInt8(at + 9));
      const codeBits = bytes.readUInt8(at);
      if (codeBits < 2 || codeBits > 8) return false;
      at = skipBlocks(bytes, at + 1);
    } else {
      return false;
    }
  }
}

/** Of the table of colours that packed fields announce. */
function colourTableBytes(packed: number): number {
  return (packed & 0x80) === 0 ? 0 : 3 * 2 ** ((packed & 7) + 1);
}

/** Where a chain of blocks ends, each with its length before it, the last of length 0. */
function skipBlocks(bytes: Buffer, start: number): number {
  for (let at = start; ; ) {
    const length = bytes.readUInt8(at);
    at += 1 + length;
    if (length === 0) return at;
  }
}

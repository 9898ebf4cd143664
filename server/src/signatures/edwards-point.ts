/** The field of Ed25519, and the curve's constant d (RFC 8032 §5.1). */
const p = 2n ** 255n - 19n;

function mod(value: bigint): bigint {
  const rest = value % p;
  return rest < 0n ? rest + p : rest;
}

function power(base: bigint, exponent: bigint): bigint {
  let result = 1n;
  let square = mod(base);
  for (let bits = exponent; bits > 0n; bits >>= 1n) {
    if (bits & 1n) result = (result * square) % p;
    square = (square * square) % p;
  }
  return result;
}

/** 0 for 0. */
function inverse(value: bigint): bigint {
  return power(value, p - 2n);
}

const d = mod(-121665n * inverse(121666n));

/** x² of the points with this y, from the curve's equation -x² + y² = 1 + d·x²·y². */
function squareOfX(y: bigint): bigint {
  const y2 = mod(y * y);
  return mod((y2 - 1n) * inverse(d * y2 + 1n));
}

/** The y of a doubled point; a point and its negative have the same. */
function doubledY(y: bigint): bigint {
  const y2 = mod(y * y);
  const x2 = squareOfX(y);
  return mod((y2 + x2) * inverse(2n - y2 + x2));
}

/**
 * Whether 32 bytes are a public key that means something: the canonical
 * encoding of a point on the curve, and not one of the eight of small order,
 * under which anyone can make signatures.
 *
 * @see RFC 8032 §5.1.3, §5.1.7
 */
export function isSoundEd25519Point(bytes: Buffer): boolean {
  const littleEndian = BigInt(`0x${Buffer.from(bytes).reverse().toString("hex")}`);
  const y = littleEndian & (2n ** 255n - 1n);
  if (bytes.length !== 32 || y >= p) return false;
  const x2 = squareOfX(y);
  const isOnCurve = x2 !== 0n && power(x2, (p - 1n) / 2n) === 1n;
  return isOnCurve && doubledY(doubledY(doubledY(y))) !== 1n;
}

import { generateKeyPair, type KeyObject } from "node:crypto";
import { promisify } from "node:util";

const generate = promisify(generateKeyPair);

/** A key pair made here. */
export interface MadeKeyPair {
  readonly publicKey: KeyObject;
  /** PKCS#8 PEM. Answer it once; never store it. */
  readonly privateKeyPem: string;
}

/** Makes an RSA key pair of 2048 bits, on another thread: it takes a tenth of a second. */
export async function makeRsaKeyPair(): Promise<MadeKeyPair> {
  const { publicKey, privateKey } = await generate("rsa", { modulusLength: 2048, publicExponent: 65537 });
  return { publicKey, privateKeyPem: privateKey.export({ type: "pkcs8", format: "pem" }).toString() };
}

/**
 * An authenticator in software (WebAuthn Level 2 §6): one ES256 credential per
 * registration, with every byte that a real one vouches for open to be wrong.
 */
import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto";

/** What an authenticator does otherwise than it should. */
export interface Faults {
  readonly origin?: string;
  readonly rpId?: string;
  readonly challenge?: string;
  /** `webauthn.create` or `webauthn.get`. */
  readonly type?: string;
  readonly userVerified?: boolean;
  readonly userHandle?: string | null;
  readonly counter?: number;
  /** COSE algorithm that the key is said to be for. */
  readonly algorithm?: number;
  /** Signs with a key of its own. */
  readonly wrongKey?: boolean;
}

/** CBOR (RFC 8949) of the few kinds of values that are needed. */
function cbor(value: number | string | Buffer | Map<number | string, unknown>): Buffer {
  if (typeof value === "number") return value < 0 ? head(1, -1 - value) : head(0, value);
  if (typeof value === "string")
    return Buffer.concat([head(3, Buffer.byteLength(value)), Buffer.from(value)]);
  if (Buffer.isBuffer(value)) return Buffer.concat([head(2, value.length), value]);
  const parts = [...value].flatMap(([key, item]) => [cbor(key), cbor(item as never)]);
  return Buffer.concat([head(5, value.size), ...parts]);
}

function head(major: number, value: number): Buffer {
  if (value < 24) return Buffer.from([(major << 5) | value]);
  if (value < 256) return Buffer.from([(major << 5) | 24, value]);
  const bytes = Buffer.alloc(3);
  bytes[0] = (major << 5) | 25;
  bytes.writeUInt16BE(value, 1);
  return bytes;
}

const sha256 = (data: string | Buffer) => createHash("sha256").update(data).digest();

/** A device with one credential. */
export class SoftAuthenticator {
  readonly origin: string;
  readonly credentialId: Buffer;
  readonly #privateKey: KeyObject;
  readonly #publicKey: KeyObject;
  /** Stays 0 for a credential that is synced. */
  counter: number;
  /** Whether it may be copied to other devices, which an authenticator may learn later. */
  isSynced: boolean;
  /** Whether it has been. */
  isBackedUp: boolean;
  #userHandle = "";

  constructor(options: {
    readonly origin: string;
    readonly isSynced?: boolean;
    readonly counter?: number;
    readonly idBytes?: number;
  }) {
    this.origin = options.origin;
    this.credentialId = randomBytes(options.idBytes ?? 32);
    this.isSynced = options.isSynced ?? false;
    this.isBackedUp = this.isSynced;
    this.counter = options.counter ?? 0;
    const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    this.#privateKey = privateKey;
    this.#publicKey = publicKey;
  }

  /** Answers creation options as `navigator.credentials.create` would, as JSON. */
  create(options: { challenge: string; rp: { id?: string }; user: { id: string } }, faults: Faults = {}) {
    this.#userHandle = options.user.id;
    const clientData = this.#clientData(faults.type ?? "webauthn.create", options.challenge, faults);
    const authData = this.#authData(options.rp.id ?? "", faults, true);
    const attestation = new Map<string, unknown>([
      ["fmt", "none"],
      ["attStmt", new Map()],
      ["authData", authData],
    ]);
    return this.#toJson({
      clientDataJSON: clientData.toString("base64url"),
      attestationObject: cbor(attestation).toString("base64url"),
      transports: ["internal"],
    });
  }

  /** Answers request options as `navigator.credentials.get` would, as JSON. */
  get(options: { challenge: string; rpId?: string }, faults: Faults = {}) {
    const clientData = this.#clientData(faults.type ?? "webauthn.get", options.challenge, faults);
    if (!this.isSynced && faults.counter === undefined) this.counter++;
    const authData = this.#authData(options.rpId ?? "", faults, false);
    const key = faults.wrongKey
      ? generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey
      : this.#privateKey;
    const userHandle = faults.userHandle === undefined ? this.#userHandle : faults.userHandle;
    return this.#toJson({
      clientDataJSON: clientData.toString("base64url"),
      authenticatorData: authData.toString("base64url"),
      signature: sign("sha256", Buffer.concat([authData, sha256(clientData)]), key).toString("base64url"),
      ...(userHandle !== null && { userHandle }),
    });
  }

  #toJson(response: object) {
    const id = this.credentialId.toString("base64url");
    return { id, rawId: id, type: "public-key", clientExtensionResults: {}, response };
  }

  #clientData(type: string, challenge: string, faults: Faults): Buffer {
    const origin = faults.origin ?? this.origin;
    return Buffer.from(
      JSON.stringify({ type, challenge: faults.challenge ?? challenge, origin, crossOrigin: false }),
    );
  }

  #authData(rpId: string, faults: Faults, withCredential: boolean): Buffer {
    const userVerified = faults.userVerified ?? true;
    const synced = (this.isSynced ? 0x08 : 0) | (this.isBackedUp ? 0x10 : 0);
    const flags = 0x01 | (userVerified ? 0x04 : 0) | synced | (withCredential ? 0x40 : 0);
    const counter = Buffer.alloc(4);
    counter.writeUInt32BE(faults.counter ?? this.counter);
    const fixed = [sha256(faults.rpId ?? rpId), Buffer.from([flags]), counter];
    if (!withCredential) return Buffer.concat(fixed);
    const length = Buffer.alloc(2);
    length.writeUInt16BE(this.credentialId.length);
    return Buffer.concat([...fixed, Buffer.alloc(16), length, this.credentialId, this.#coseKey(faults)]);
  }

  #coseKey({ algorithm = -7 }: Faults): Buffer {
    const { x = "", y = "" } = this.#publicKey.export({ format: "jwk" });
    return cbor(
      new Map<number, unknown>([
        [1, 2],
        [3, algorithm],
        [-1, 1],
        [-2, Buffer.from(x, "base64url")],
        [-3, Buffer.from(y, "base64url")],
      ]),
    );
  }
}

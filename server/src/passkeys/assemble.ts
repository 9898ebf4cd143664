import { AuthService } from "@vestibule/proto/vestibule/v1/auth_service_pb";
import type { Room } from "../assembly/room.ts";
import { registerService } from "../assembly/services.ts";
import type { Reader, Tx } from "../db/database.ts";
import { createPasskeyMethods } from "./handler.ts";
import type { Passkey } from "./passkey.ts";
import { PasskeyService, type PasskeyServiceOptions } from "./service.ts";
import {
  deletePasskeys,
  findPasskeyByCredentialId,
  findPasskeyOwner,
  findPasskeys,
  holdPasskey,
} from "./store.ts";

/** What others ask of passkeys. */
export interface PasskeysRoom extends Room {
  readonly passkeys: PasskeyService;
  /** Whether a user has one. @param from a transaction, where the answer has to hold until it ends. */
  hasPasskey(from: Reader, userId: string): Promise<boolean>;
  /** Whether a user still has this one, until `tx` ends. */
  hold(tx: Tx, id: string, userId: string): Promise<boolean>;
  /** Removes all of a user's, or those added at an instant or later, and answers how many there were. */
  deleteAll(tx: Tx, userId: string, since?: Date): Promise<number>;
  findByCredentialId(credentialId: string): Promise<Passkey | undefined>;
  findByUser(userId: string): Promise<readonly Passkey[]>;
  /** As of `findPasskeyOwner`. */
  findOwner(userId: string): ReturnType<typeof findPasskeyOwner>;
}

/** Puts passkeys together. */
export function assemblePasskeys(parts: PasskeyServiceOptions): PasskeysRoom {
  const { reader } = parts.database;
  const passkeys = new PasskeyService(parts);
  return {
    passkeys,
    hasPasskey: async (from, userId) => (await findPasskeys(from, userId)).length > 0,
    hold: holdPasskey,
    deleteAll: deletePasskeys,
    findByCredentialId: (credentialId) => findPasskeyByCredentialId(reader, credentialId),
    findByUser: (userId) => findPasskeys(reader, userId),
    findOwner: (userId) => findPasskeyOwner(reader, userId),
    services: [registerService(AuthService, createPasskeyMethods(passkeys))],
  };
}

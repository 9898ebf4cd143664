import type { Client } from "@connectrpc/connect";
import type { AuthService } from "@vestibule/proto/vestibule/v1/auth_service_pb";
import type { Passkey } from "@vestibule/proto/vestibule/v1/passkey_pb";
import type { SignInCalls } from "../sign-in/sign-in.ts";
import { SignInError } from "../sign-in-error.ts";
import type { Ceremonies } from "./ceremonies.ts";
import { beginCeremony, toAnswer } from "./sign-in.ts";

/** The passkeys of who is signed in. */
export interface Passkeys {
  /** Oldest first. */
  list(): Promise<Passkey[]>;
  /** @throws ConnectError PASSKEY_NOT_FOUND */
  rename(id: string, name: string): Promise<Passkey>;
  /** @throws ConnectError PASSKEY_NOT_FOUND */
  remove(id: string): Promise<void>;
}

type PasskeyCalls = Pick<
  Client<typeof AuthService>,
  "authCallback" | "listPasskeys" | "renamePasskey" | "deletePasskey"
>;

/** @see {@link Passkeys} */
export function createPasskeys(auth: PasskeyCalls): Passkeys {
  return {
    list: async () => (await auth.listPasskeys({})).passkeys,
    rename: async (id, name) => getPasskey((await auth.renamePasskey({ id, name })).passkey),
    async remove(id) {
      await auth.deletePasskey({ id });
    },
  };
}

/**
 * Makes a passkey on this device, for who is signed in, and names it.
 *
 * @throws SignInError `not_signed_in`, `passkey_…`
 * @throws ConnectError REAUTH_REQUIRED when they signed in more than ten minutes ago, …
 */
export async function addPasskey(
  calls: SignInCalls,
  auth: PasskeyCalls,
  ceremonies: Ceremonies,
  name: string | undefined,
): Promise<Passkey> {
  if (!ceremonies.isSupported()) throw new SignInError("passkey_unsupported");
  const begun = await beginCeremony(calls, {});
  if (begun.type !== "register") throw new SignInError("not_signed_in");
  const known = new Set((await auth.listPasskeys({})).passkeys.map(({ id }) => id));
  await auth.authCallback(toAnswer(begun, await ceremonies.register(begun.options)));
  const { passkeys } = await auth.listPasskeys({});
  const added = getPasskey(passkeys.findLast(({ id }) => !known.has(id)));
  return name === undefined ? added : getPasskey((await auth.renamePasskey({ id: added.id, name })).passkey);
}

function getPasskey(passkey: Passkey | undefined): Passkey {
  if (passkey === undefined) throw new SignInError("passkey_failed", { detail: "it is gone already" });
  return passkey;
}

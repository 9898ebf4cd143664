import type { Strategy } from "../auth/strategy.ts";
import { toProviderLabel } from "../lib/well-known-providers.ts";

/** The ways to sign in, as a page shows them. */
export interface Offers {
  readonly mailCode: boolean;
  readonly mailLink: boolean;
  /** Whether no mail gets out now, nor will before somebody mends that; goes by the instant. */
  readonly isMailClosed: boolean;
  readonly passkey: boolean;
  /** In the order to offer them. */
  readonly providers: readonly { readonly name: string; readonly label: string }[];
}

/** Names of the strategies that are not identity providers. */
export const ownStrategies = { mailCode: "mailotp", mailLink: "maillink", passkey: "passkey" } as const;

/** Sorts strategies by how a page shows them: all but our own are providers. */
export function toOffers(strategies: readonly Pick<Strategy, "name" | "isClosed">[]): Offers {
  const names = strategies.map(({ name }) => name);
  const own: readonly string[] = Object.values(ownStrategies);
  const byMail = strategies.filter(
    ({ name }) => name === ownStrategies.mailCode || name === ownStrategies.mailLink,
  );
  return {
    mailCode: names.includes(ownStrategies.mailCode),
    mailLink: names.includes(ownStrategies.mailLink),
    get isMailClosed() {
      return byMail.some((strategy) => strategy.isClosed?.());
    },
    passkey: names.includes(ownStrategies.passkey),
    providers: names
      .filter((name) => !own.includes(name))
      .map((name) => ({ name, label: toProviderLabel(name) })),
  };
}

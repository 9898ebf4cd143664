/** What a visitor is told when an identity provider let them not in, through no fault of theirs. */
import type { Reason } from "./errors.ts";

/** What a page says, and whether trying again may help. */
export interface ProviderWords {
  readonly status: number;
  readonly title: string;
  readonly text: string;
  readonly mayTryAgain: boolean;
}

/** The words for a reason; undefined where it is not about a provider. @param label what people call the provider */
export function findProviderWords(reason: Reason, label: string): ProviderWords | undefined {
  switch (reason) {
    case "UNAVAILABLE":
      return {
        status: 503,
        title: `${label} does not answer`,
        text: "Nothing is wrong with your account. Try again in a few minutes, or sign in another way.",
        mayTryAgain: true,
      };
    case "INVALID_FLOW":
      return {
        status: 400,
        title: "This sign-in is over",
        text: `${label} says that it was finished already, or took too long. Nothing is lost: start again. If that happens every time, tell whoever runs this site the request below.`,
        mayTryAgain: true,
      };
    case "PROVIDER_REFUSED":
      return {
        status: 400,
        title: `${label} refused this site`,
        text: `The identity provider refused to go on, because of how this site is set up there. Trying again does not help: tell whoever runs this site the request below, or sign in another way.`,
        mayTryAgain: false,
      };
    case "PROVIDER_PROVES_NOTHING":
      return {
        status: 400,
        title: `What ${label} answered proves nothing`,
        text: "The identity provider's answer is not as this site has to insist on. Trying again does not help: tell whoever runs this site the request below, or sign in another way.",
        mayTryAgain: false,
      };
    default:
      return undefined;
  }
}

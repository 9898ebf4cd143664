const wellKnown = new Map([
  ["google", "Google"],
  ["github", "GitHub"],
  ["gitlab", "GitLab"],
  ["microsoft", "Microsoft"],
  ["apple", "Apple"],
]);

/** What pages and mail call an identity provider, of whose strategy only the name is known. */
export function toProviderLabel(strategyName: string): string {
  const spaced = strategyName.replace(/[-_]+/g, " ").trim();
  return (
    wellKnown.get(strategyName) ??
    (spaced === "" ? strategyName : spaced.charAt(0).toUpperCase() + spaced.slice(1))
  );
}

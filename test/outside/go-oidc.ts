import { join } from "node:path";
import type { Part } from "../parts/part.ts";
import { judgeVerifier } from "../parts/token-verifier.ts";
import { buildGoModule } from "../parts/toolchains.ts";

/** Go's go-oidc accepts our access tokens by our JWKS, and no others. */
export default {
  needs: ["go"],
  async run(context) {
    const program = await buildGoModule(
      join(import.meta.dirname, "go-oidc"),
      join(context.scratch, "verify"),
    );
    await judgeVerifier(context, [program], ["ES256", "RS256", "EdDSA"]);
    return undefined;
  },
} satisfies Part;

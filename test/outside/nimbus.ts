import { join } from "node:path";
import type { Part } from "../parts/part.ts";
import { judgeVerifier } from "../parts/token-verifier.ts";
import { installJar } from "../parts/toolchains.ts";

/**
 * The JVM's Nimbus JOSE + JWT, which Spring Security stands on, accepts our access
 * tokens by our JWKS, and no others. For EdDSA it would need Tink beside it.
 */
export default {
  needs: ["java"],
  async run(context) {
    const jar = await installJar("com.nimbusds:nimbus-jose-jwt:10.10");
    const source = join(import.meta.dirname, "nimbus/Verify.java");
    await judgeVerifier(context, ["java", "-cp", jar, source], ["ES256", "RS256"]);
    return undefined;
  },
} satisfies Part;

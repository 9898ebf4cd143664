import { join } from "node:path";
import type { Part } from "../parts/part.ts";
import { judgeVerifier } from "../parts/token-verifier.ts";
import { installPython } from "../parts/toolchains.ts";

const folder = join(import.meta.dirname, "pyjwt");

/** Python's PyJWT accepts our access tokens by our JWKS, and no others. */
export default {
  needs: ["python"],
  async run(context) {
    const python = await installPython(join(folder, "requirements.txt"));
    await judgeVerifier(context, [python, join(folder, "verify.py")], ["ES256", "RS256", "EdDSA"]);
    return undefined;
  },
} satisfies Part;

import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readBlocks } from "../parts/documentation.ts";
import type { Part } from "../parts/part.ts";
import { judgeRoles } from "../parts/role-programs.ts";
import { judgeVerifier } from "../parts/token-verifier.ts";
import { buildGoModule } from "../parts/toolchains.ts";

const folder = join(import.meta.dirname, "go-oidc");

/** Go's go-oidc accepts our access tokens by our JWKS, and no others; and so for roles, as the docs use it. */
export default {
  needs: ["go"],
  async run(context) {
    const program = await buildGoModule(folder, join(context.scratch, "verify"));
    await judgeVerifier(context, [program], ["ES256", "RS256", "EdDSA"]);
    await judgeRoles(context, async (issuer, orgId) => [await buildRoles(context.scratch), issuer, orgId]);
    return undefined;
  },
} satisfies Part;

const main = `package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
)

func main() {
	ctx := context.Background()
	verifier := newVerifier(ctx, os.Args[1], os.Args[1])
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		subject, err := requireRole(ctx, verifier, lines.Text(), os.Args[2], "manager", "owner")
		if err != nil {
			fmt.Printf("refused: %q\\n", err.Error())
			continue
		}
		fmt.Println("in:", subject)
	}
}
`;

/** The functions of docs/roles.md, with a program around them, in a module that pins what the other does. */
async function buildRoles(scratch: string): Promise<string> {
  const module = join(scratch, "roles");
  mkdirSync(module, { recursive: true });
  for (const name of ["go.mod", "go.sum"]) copyFileSync(join(folder, name), join(module, name));
  const [shown = ""] = readBlocks("docs/roles.md", "go");
  writeFileSync(join(module, "roles.go"), shown);
  writeFileSync(join(module, "main.go"), main);
  return await buildGoModule(module, join(scratch, "require-role"));
}

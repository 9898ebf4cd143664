// Verifies access tokens, a line each, as test/parts/token-verifier.ts asks.
package main

import (
	"bufio"
	"context"
	"fmt"
	"os"

	"github.com/coreos/go-oidc/v3/oidc"
)

func main() {
	jwksURL, issuer, audience, algorithm := os.Args[1], os.Args[2], os.Args[3], os.Args[4]
	ctx := context.Background()
	verifier := oidc.NewVerifier(issuer, oidc.NewRemoteKeySet(ctx, jwksURL), &oidc.Config{
		ClientID:             audience,
		SupportedSigningAlgs: []string{algorithm},
	})
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		token, err := verifier.Verify(ctx, lines.Text())
		if err != nil {
			fmt.Printf("refused: %q\n", err.Error())
			continue
		}
		fmt.Println(token.Subject)
	}
}
